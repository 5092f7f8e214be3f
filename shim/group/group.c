#include "shim/group/group.h"
#include "shim/group/door.h"
#include "shim/group/mailbox.h"
#include "shim/kernel/incoming_cpu.h"
#include "shim/kernel/log.h"
#include "shim/kernel/reuseport.h"
#include "shim/kernel/socket_clone.h"
#include "shim/kernel/sys.h"
#include "shim/process/machine.h"
#include "shim/process/own_fd.h"
#include "shim/process/runtime.h"
#include <errno.h>
#include <stddef.h>
#include <string.h>

struct group group_places[GROUPS_MAX];

struct group *group_find(const struct socket_place *place)
{
	struct group *found = NULL;

	/* One that was awaited comes before what stands for it. */
	for (int i = 0; i < GROUPS_MAX && (!found || group_is_awaited(found)); i++)
		if (group_places[i].in_use && socket_place_equal(&group_places[i].place, place))
			found = &group_places[i];
	return found;
}

/* Another thread may be on its way through a group that is dropped: its place and its mapping stay
 * until all other places were used. In use it is once it is whole, for the sake of children that
 * are forked meanwhile; nobody else takes the place, as all this runs under self_lock(). */
static struct group *group_new(const struct socket_place *place)
{
	static unsigned last;

	for (int i = 0; i < GROUPS_MAX; i++) {
		struct group *group = &group_places[++last % GROUPS_MAX];
		if (group->in_use)
			continue;
		if (group->ledger)
			ledger_unmap(group->ledger);
		group->ledger = NULL;
		group->ledger_fd = group->door = -1;
		group->slot_count = group->member_count = 0;
		group->generation = 0;
		group->remembering = false;
		group->nics_version = 0;
		group->whole_ms = group->ask_ms = 0;
		group->ask_pause_ms = 0;
		group->place = *place;
		group->listeners = 0;
		return group;
	}
	return NULL;
}

void group_drop(struct group *group)
{
	for (unsigned m = 0; m < group->member_count; m++)
		own_fd_drop(&group->member[m]);
	own_fd_drop(&group->door);
	own_fd_drop(&group->ledger_fd);
	group->in_use = 0;
}

bool group_is_whole(struct group *group)
{
	bool whole = true;

	for (unsigned m = 0; m < group->member_count; m++) {
		if (own_fd_is_held(&group->member[m]))
			continue;
		own_fd_drop(&group->member[m]);
		whole = false;
	}
	return whole;
}

/* The CPUs that get a slot: those the policy lists, else those that receive and those the
 * application may use, receiving ones first where the bound does not allow all. A worker that is
 * pinned already may be who asks, so what may be used here is no limit. */
static unsigned choose_slots(uint16_t *slot_cpu, const cpu_set_t *arrivals)
{
	const struct policy *policy = runtime_policy();
	const cpu_set_t *allowed = &runtime_topology()->allowed;
	const cpu_set_t *listed =
		policy->listen_buckets.kind == CPUS_LIST ? &policy->listen_buckets.set : NULL;
	unsigned bound = policy->listen_members < SLOTS_MAX ? policy->listen_members : SLOTS_MAX;
	unsigned count = 0;

	for (int pass = 0; pass < 2; pass++) {
		for (int cpu = 0; cpu < CPU_SETSIZE && count < bound; cpu++) {
			bool receives = CPU_ISSET(cpu, arrivals);
			bool wanted = listed ? CPU_ISSET(cpu, listed)
					     : receives || CPU_ISSET(cpu, allowed);
			if (wanted && receives == !pass)
				slot_cpu[count++] = (uint16_t)cpu;
		}
	}
	return count;
}

static int make_members(struct group *group, int fd)
{
	struct socket_difference difference = {0};

	for (unsigned s = 0; s < group->ledger->slot_count; s++) {
		int member = own_fd(socket_clone(fd, &difference));
		if (member < 0)
			return member;
		group->member[group->slot_count++] = member;
		group->member_count = group->slot_count;
	}
	return 0;
}

/* It is whole. The numbers must follow when the application takes one of them. */
static struct group *complete(struct group *group)
{
	own_fd_hold(&group->ledger_fd);
	own_fd_hold(&group->door);
	for (unsigned m = 0; m < group->member_count; m++)
		own_fd_hold(&group->member[m]);
	group->in_use = 1;
	return group;
}

static int listen_members(const struct group *group, int backlog)
{
	int ret = 0;

	for (unsigned s = 0; !ret && s < group->slot_count; s++)
		ret = (int)sys(SYS_listen, group->member[s], backlog);
	return ret;
}

static int open_ledger(struct group *group, int fd, const char **why)
{
	uint32_t ifindex[STEER_NICS_MAX];
	uint16_t slot_cpu[SLOTS_MAX];
	cpu_set_t arrivals;
	unsigned nics = nic_spreading(machine_nics(), ifindex, STEER_NICS_MAX, &arrivals);
	unsigned slots = choose_slots(slot_cpu, &arrivals);

	/* One that may turn out to spread finds its members ready: made later, they could not come
	 * before the application's socket. */
	*why = "no interface spreads over several CPUs";
	if (!nics && !nic_may_spread(machine_nics()))
		return -ENODEV;
	if (slots < 2) {
		*why = "there is but one CPU that it could be steered to";
		return -ENODEV;
	}
	group->ledger_fd =
		own_fd(ledger_create(&group->ledger, (uint32_t)socket_owner(fd), slots, slot_cpu));
	if (group->ledger_fd < 0)
		return group->ledger_fd;
	ledger_set_nics(group->ledger, nics, ifindex, &arrivals);
	group->nics_version = machine_nics_version();
	return 0;
}

/* Where the program is refused, the next best that works. */
static int choose_rung(const struct group *group)
{
	int ret = reuseport_try();

	if (!ret || !incoming_cpu_is_honoured())
		return ret;
	log_warn("port %u: SO_ATTACH_REUSEPORT_CBPF refused (error %d): SO_INCOMING_CPU steers, "
		 "same-host clients too",
		 socket_port(&group->place.address), -ret);
	group->ledger->rung = RUNG_INCOMING_CPU;
	return 0;
}

/* The first member's listen() makes the group that a program can be attached to; the kernel would
 * not let it listen with one attached before, where the sockets lack SO_REUSEADDR. So a connection
 * that comes between the two waits at this member, until somebody looks for such. */
static int listen_first(struct group *group, int backlog)
{
	int ret = (int)sys(SYS_listen, group->member[0], backlog);

	return ret ? ret : group_publish(group);
}

/* Each step names itself in *why before it is tried. */
static int build(struct group *group, int fd, int backlog, bool listening, const char **why)
{
	int ret;

	ret = open_ledger(group, fd, why);
	if (ret)
		return ret;
	*why = "SO_REUSEPORT";
	ret = socket_set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (ret)
		return ret;
	*why = "SO_ATTACH_REUSEPORT_CBPF";
	/* Before there are members: a child that is forked meanwhile keeps those that we give up,
	 * and the application could not listen beside them. */
	ret = choose_rung(group);
	if (ret)
		return ret;
	*why = "a second socket on the address";
	ret = make_members(group, fd);
	if (ret)
		return ret;
	if (listening) {
		group->ledger->member_base = 1;
		group->ledger->common_base = 0;
	}
	*why = "listen on a second socket";
	ret = listen_first(group, backlog);
	return ret ? ret : listen_members(group, backlog);
}

struct group *group_build(int fd, int backlog, bool listening, const char **why, int *error)
{
	int had_reuseport = socket_get_int(fd, SOL_SOCKET, SO_REUSEPORT, 0);
	struct socket_place place;
	struct group *group;

	*why = "too many listeners";
	*error = -ENOSPC;
	if (socket_place(fd, &place) < 0 || !(group = group_new(&place)))
		return NULL;
	group->door = door_open(&place, socket_owner(fd));
	*why = "another process has its group";
	/* Whoever has the name of a socket that is fresh and not to be shared is no group of ours:
	 * only later generations of this application will miss it. */
	bool is_taken = group->door == -EADDRINUSE && (had_reuseport || listening);
	if (!had_reuseport && !listening && reuseport_count(&place) > 0) {
		/* Bound before they listened, with SO_REUSEADDR: listen() is to be refused. */
		*why = "others listen on that address:";
		is_taken = true;
	}
	*error = is_taken ? -EADDRINUSE : build(group, fd, backlog, listening, why);
	if (!*error) {
		group->backlog = backlog;
		door_start(group->door);
		return complete(group);
	}
	group_drop(group);
	if (!had_reuseport)
		socket_set_int(fd, SOL_SOCKET, SO_REUSEPORT, 0);
	return NULL;
}

struct group *group_build_mailboxes(int fd, const char **why, int *error)
{
	struct socket_place place;
	struct group *group;

	*why = "too many listeners";
	*error = -ENOSPC;
	if (socket_place(fd, &place) < 0 || !(group = group_new(&place)))
		return NULL;
	group->door = door_open(&place, socket_owner(fd));
	*why = "another process has its group";
	*error = group->door == -EADDRINUSE ? -EADDRINUSE : 0;
	if (!*error)
		*error = open_ledger(group, fd, why);
	if (!*error) {
		*why = "a pair of unix sockets";
		group->ledger->rung = RUNG_HAND_OVER;
		*error = mailbox_make(group);
	}
	if (!*error) {
		door_start(group->door);
		return complete(group);
	}
	group_drop(group);
	return NULL;
}

struct group *group_take(int ledger_fd, int door, unsigned count, const int *member,
			 const struct socket_place *place)
{
	struct group *group = count <= MEMBERS_MAX ? group_new(place) : NULL;

	if (!group) {
		own_fd_close(ledger_fd);
		own_fd_close(door);
		for (unsigned s = 0; s < count; s++)
			own_fd_close(member[s]);
		return NULL;
	}
	group->ledger_fd = ledger_fd;
	group->door = door;
	group->member_count = count;
	for (unsigned m = 0; m < count; m++)
		group->member[m] = member[m];
	if (!ledger_map(ledger_fd, &group->ledger)) {
		/* Read once: others may write it. */
		unsigned slots = group->ledger->slot_count;
		group->slot_count = slots;
		if (slots <= SLOTS_MAX &&
		    count == slots * (ledger_hands_over(group->ledger) ? 2 : 1))
			return complete(group);
	}
	group_drop(group);
	return NULL;
}

struct group *group_await(const struct socket_place *place)
{
	const uint16_t no_slot = 0;
	struct ledger *ledger;
	int fd = own_fd(ledger_create(&ledger, 0, 0, &no_slot));

	if (fd < 0)
		return NULL;
	ledger->rung = RUNG_HAND_OVER;
	ledger->suspended = 1;
	ledger_unmap(ledger);
	log_warn("port %u: who has its group does not answer: its connections come over the common "
		 "queue until then",
		 socket_port(&place->address));
	return group_take(fd, -1, 0, NULL, place);
}

void group_listen(struct group *group, int backlog)
{
	struct ledger *ledger = group->ledger;

	group->backlog = backlog;
	if (ledger_hands_over(ledger) || ledger->stand_aside)
		return;
	/* Members that had stopped listening left the group and came back before the application's
	 * socket does: now they are the first. */
	if (listen_members(group, backlog)) {
		group_unlisten(group);
		return;
	}
	ledger->suspended = 0;
	ledger_changed(ledger);
	group_publish_if_changed(group);
}

void group_unlisten(struct group *group)
{
	struct sockaddr unspecified = {.sa_family = AF_UNSPEC};
	struct ledger *ledger = group->ledger;

	if (ledger_hands_over(ledger))
		return;
	/* First, so that nobody attaches a program to members without a group: it would keep them
	 * from listening again. */
	ledger->suspended = 1;
	for (unsigned s = 0; s < group->slot_count; s++)
		sys(SYS_connect, group->member[s], &unspecified, sizeof(unspecified));
	ledger->member_base = 0;
	ledger->common_base = group->slot_count;
	ledger_changed(ledger);
}

int group_set_option(struct group *group, int level, int name, const void *value, socklen_t length)
{
	int ret = 0;

	/* What comes by mailbox was accepted by the application's own socket. */
	if (ledger_hands_over(group->ledger))
		return 0;
	for (unsigned s = 0; !ret && s < group->slot_count; s++)
		ret = socket_set(group->member[s], level, name, value, length);
	return ret;
}
