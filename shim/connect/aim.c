#include "shim/connect/aim.h"
#include "shim/connect/outgoing.h"
#include "shim/kernel/sys.h"
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

/* Of the uplinks, those a thread used last: what it keeps is taken from its stack. */
#define TARGETS 2

/* Reserved ports that are stepped over in one connect, without a system call. */
#define RESERVED_MAX 256

static __thread struct {
	const char *volatile inside; /* the frame that is making a choice; NULL: none is */
	uint32_t generation, home_version;
	bool homeless; /* on every uplink */
	unsigned next; /* target to be made anew */
	struct {
		const struct uplink *of; /* NULL: of none */
		struct port_target target;
	} target[TARGETS];
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
	for (unsigned i = 0; i < TARGETS; i++)
		mine.target[i].of = NULL;
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
	for (unsigned i = 0; i < TARGETS; i++)
		if (mine.target[i].of == way->uplink)
			return &mine.target[i].target;
	unsigned number = mine.next++ % TARGETS;
	port_target_init(&mine.target[number].target, &way->uplink->ports, &home->cpus);
	mine.target[number].of = way->uplink;
	return &mine.target[number].target;
}

static enum aim set_ask(const struct way *way, const struct home *home)
{
	refresh(way->uplinks, home);
	if (mine.set_of == way->uplink && port_set_move(&mine.set, &way->flow))
		return AIM_FOUND;
	if (!home_is_part(&home->cpus, &way->uplink->cpus))
		return AIM_HOMELESS;
	mine.set_of = way->uplink;
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

/* Most hosts reserve none: a port looked up at random in 8 KB is not in the cache. */
static bool is_reserved(const struct way *way, uint16_t port)
{
	return way->uplink->range.fingerprint &&
	       local_port_reserved(&way->uplinks->local_ports, port);
}

static bool step(const struct way *way, struct port_choice *choice)
{
	for (int i = 0; i < RESERVED_MAX; i++) {
		if (!port_pick_next(outgoing_pick(), &mine.set, &way->flow, choice))
			return false;
		if (!is_reserved(way, choice->port))
			return true;
		port_pick_barred(outgoing_pick(), choice);
	}
	return false;
}

/* A signal handler that connects in the middle of a choice goes without one. It stands deeper on
 * the stack than what it interrupted, or on a stack of its own; whoever comes from elsewhere is no
 * such handler, but called after one that left by siglongjmp(). */
static bool begin(const char *frame)
{
	stack_t stack = {.ss_flags = 0};

	if (mine.inside) {
		if (frame < mine.inside || sys(SYS_sigaltstack, NULL, &stack) < 0 ||
		    stack.ss_flags & SS_ONSTACK)
			return false;
		mine.generation = 0; /* what is kept may be half done */
	}
	mine.inside = frame;
	atomic_signal_fence(memory_order_seq_cst);
	return true;
}

static void end(void)
{
	atomic_signal_fence(memory_order_seq_cst);
	mine.inside = NULL;
}

enum aim aim_next(const struct way *way, const struct home *home, struct port_choice *choice)
{
	enum aim aim;

	if (!begin(__builtin_frame_address(0)))
		return AIM_NONE;
	aim = set_ask(way, home);
	if (aim == AIM_FOUND && !step(way, choice))
		aim = AIM_NONE;
	end();
	return aim;
}

void aim_hit(const struct port_choice *choice)
{
	port_pick_got(outgoing_pick(), choice);
}

void aim_missed(struct port_choice *choice)
{
	port_pick_taken(outgoing_pick(), choice);
}
