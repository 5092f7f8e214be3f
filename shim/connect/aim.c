#include "shim/connect/aim.h"
#include "shim/connect/outgoing.h"
#include <string.h>

/* Reserved ports that are stepped over in one connect, without a system call. */
#define RESERVED_MAX 256

static __thread struct {
	bool busy; /* inside a choice: a signal handler that connects goes without one */
	uint32_t generation, home_version;
	bool homeless; /* on every uplink */
	struct {
		bool made;
		struct port_target target;
	} target[UPLINKS_MAX];
	struct port_set set;
	const struct uplink *set_of; /* what it was asked about last; NULL: start over */
} mine;

static bool is_current(const struct uplinks *uplinks, const struct home *home)
{
	return mine.generation == uplinks->generation && mine.home_version == home->version;
}

static void refresh(const struct uplinks *uplinks, const struct home *home)
{
	if (is_current(uplinks, home))
		return;
	/* The set refers to what was filled in place of an older generation. */
	memset(&mine.set, 0, sizeof(mine.set));
	mine.set_of = NULL;
	for (unsigned i = 0; i < UPLINKS_MAX; i++)
		mine.target[i].made = false;
	mine.homeless = true;
	for (unsigned i = 0; i < uplinks->count; i++)
		if (uplinks->uplink[i].learns ||
		    home_is_part(&home->cpus, &uplinks->uplink[i].cpus))
			mine.homeless = false;
	mine.generation = uplinks->generation;
	mine.home_version = home->version;
}

bool aim_is_homeless(const struct uplinks *uplinks, const struct home *home)
{
	return is_current(uplinks, home) && mine.homeless;
}

static const struct port_target *target_on(const struct way *way, const struct home *home)
{
	unsigned number = (unsigned)(way->uplink - way->uplinks->uplink);

	if (!mine.target[number].made) {
		port_target_init(&mine.target[number].target, &way->uplink->ports, &home->cpus);
		mine.target[number].made = true;
	}
	return &mine.target[number].target;
}

static enum aim set_ask(const struct way *way, const struct home *home)
{
	refresh(way->uplinks, home);
	if (mine.set_of == way->uplink && port_set_move(&mine.set, &way->flow))
		return AIM_FOUND;
	mine.set_of = way->uplink;
	if (!home_is_part(&home->cpus, &way->uplink->cpus))
		return AIM_HOMELESS;
	switch (port_set_init(&mine.set, &way->uplink->arrival, &way->uplink->ports,
			      target_on(way, home), &way->uplink->range, &way->flow)) {
	case PORTS_FOUND:
		return AIM_FOUND;
	case PORTS_HASH_UNKNOWN:
		return AIM_UNPREDICTABLE;
	default:
		return AIM_UNREACHABLE;
	}
}

static bool step(const struct way *way, struct port_choice *choice)
{
	for (int i = 0; i < RESERVED_MAX; i++) {
		if (!port_pick_next(outgoing_pick(), &mine.set, &way->flow, choice))
			return false;
		if (!local_port_reserved(&way->uplinks->local_ports, choice->port))
			return true;
		port_pick_taken(outgoing_pick(), choice);
	}
	return false;
}

enum aim aim_next(const struct way *way, const struct home *home, struct port_choice *choice)
{
	enum aim aim;

	if (mine.busy)
		return AIM_NONE;
	mine.busy = true;
	aim = set_ask(way, home);
	if (aim == AIM_FOUND && !step(way, choice))
		aim = AIM_NONE;
	mine.busy = false;
	return aim;
}

void aim_hit(const struct port_choice *choice)
{
	port_pick_got(outgoing_pick(), choice);
}

void aim_missed(const struct port_choice *choice)
{
	port_pick_taken(outgoing_pick(), choice);
}
