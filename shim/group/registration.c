#include "shim/group/registration.h"
#include "shim/kernel/procfs.h"
#include "shim/kernel/sys.h"
#include "shim/process/machine.h"
#include "shim/process/own_fd.h"
#include "shim/process/self.h"
#include <errno.h>
#include <stddef.h>

/* Every so many looks the application's sockets are counted anew: a dump over netlink. */
#define RECOUNT_LOOKS 16

struct registration registration_places[REGISTRATIONS_MAX];

struct registration *registration_new(int fd, int listener, const struct epoll_event *event)
{
	for (unsigned i = 0; i < REGISTRATIONS_MAX; i++) {
		struct registration *reg = &registration_places[i];
		if (reg->in_use)
			continue;
		reg->listener = listener;
		reg->fd = fd;
		slots_clear(&reg->added);
		slots_clear(&reg->draining);
		reg->has_door = false;
		reg->claim.watch = -1;
		reg->epoch = self_epoch();
		reg->settled_events = 0;
		reg->unanswered = 0;
		reg->balance = (struct balance){0};
		registration_update(reg, event);
		reg->in_use = 1;
		return reg;
	}
	return NULL;
}

void registration_update(struct registration *reg, const struct epoll_event *event)
{
	reg->events = event->events;
	reg->data = event->data.u64;
	reg->fired = 0;
	reg->rearmed = !!(event->events & EPOLLET);
	reg->present = 1;
}

bool registration_is_changed(const struct registration *reg)
{
	return !reg->present || reg->rearmed || reg->events != reg->settled_events ||
	       reg->data != reg->settled_data || reg->events & EPOLLONESHOT;
}

/* A member is watched like the listener: edge or level, once or always. Several workers of one CPU
 * share it: only one of them shall wake up, and EPOLLEXCLUSIVE excludes EPOLLONESHOT. */
static uint32_t member_events(uint32_t events)
{
	uint32_t how = events & (EPOLLET | EPOLLONESHOT | EPOLLWAKEUP);

	return EPOLLIN | how | (events & EPOLLONESHOT ? 0 : (uint32_t)EPOLLEXCLUSIVE);
}

static int control(int epfd, int op, int fd, uint32_t events, struct mark mark)
{
	struct epoll_event event = {.events = events, .data.u64 = mark_make(mark)};

	return (int)sys(SYS_epoll_ctl, epfd, op, fd, &event);
}

static void put_member(struct registration *reg, int epfd, const struct group *group, unsigned slot)
{
	struct mark mark = {MARK_MEMBER, registration_number(reg), (uint16_t)slot};
	uint32_t events = member_events(reg->events);
	int fd = group->member[slot];

	/* An entry with EPOLLEXCLUSIVE cannot be modified. */
	control(epfd, EPOLL_CTL_DEL, fd, 0, mark);
	slot_remove(&reg->added, slot);
	if (!control(epfd, EPOLL_CTL_ADD, fd, events, mark))
		slot_add(&reg->added, slot);
}

/* Where an application closed ours behind our back, another descriptor has the number. */
static void remove_ours(int epfd, const int *holder)
{
	if (own_fd_is_held(holder))
		control(epfd, EPOLL_CTL_DEL, *holder, 0, (struct mark){0});
}

void registration_take_out(struct registration *reg, int epfd, const struct group *group,
			   unsigned slot)
{
	slot_remove(&reg->added, slot);
	/* In a child of a fork the instance is the parent's, and so are its entries. */
	if (reg->epoch == self_epoch())
		remove_ours(epfd, &group->member[slot]);
}

/* Only what could be added counts as home. */
static void tell_ledger(struct registration *reg, struct ledger *ledger, bool inherited,
			uint64_t now_ms)
{
	struct ledger_thread self = {self_pid_space(machine_sources()->proc), self_pid(),
				     self_tid()};

	/* The entry that a child of a fork inherits is its parent's. */
	if (!inherited && ledger_report(ledger, reg->claim, self.tid, &reg->added, now_ms))
		return;
	reg->claim.watch = -1;
	if (!slots_empty(&reg->added)) {
		reg->claim = ledger_claim(ledger, self);
		ledger_report(ledger, reg->claim, self.tid, &reg->added, now_ms);
	}
}

void registration_settle(struct registration *reg, int epfd, struct group *group,
			 const struct slot_set *home, uint64_t now_ms)
{
	bool inherited = reg->epoch != self_epoch();
	bool renew = inherited || atomic_exchange(&reg->rearmed, 0) ||
		     reg->events != reg->settled_events ||
		     (reg->events & EPOLLONESHOT && !reg->fired);
	struct mark door = {.kind = MARK_DOOR, .registration = registration_number(reg)};
	bool changed = inherited;

	/* The ledger says nothing before the members are really watched. */
	reg->epoch = self_epoch();
	for (unsigned s = 0; s < group->slot_count; s++) {
		bool in = slot_in(&reg->added, s);
		bool wanted = slot_in(home, s) && reg->events & EPOLLIN;
		if (wanted && (!in || renew))
			put_member(reg, epfd, group, s);
		else if (in && !wanted)
			registration_take_out(reg, epfd, group, s);
		changed |= in != slot_in(&reg->added, s);
	}
	if (!reg->has_door && group->door >= 0) {
		control(epfd, EPOLL_CTL_ADD, group->door, EPOLLIN | EPOLLEXCLUSIVE, door);
		reg->has_door = true;
	}
	/* Who does not arm it again is as one who does not come around: others serve. */
	if (changed || registration_is_armed(reg))
		tell_ledger(reg, group->ledger, inherited, now_ms);
	reg->settled_events = reg->events;
	reg->settled_data = reg->data;
}

void registration_yield(struct registration *reg, int epfd, struct group *group)
{
	registration_strip(reg, epfd, group);
	reg->epoch = self_epoch();
	reg->rearmed = 0;
	reg->settled_events = reg->events;
	reg->settled_data = reg->data;
}

int registration_put_listener(struct registration *reg, int epfd)
{
	struct mark mark = {.kind = MARK_LISTENER, .registration = registration_number(reg)};
	int ret = control(epfd, EPOLL_CTL_ADD, reg->fd, EPOLLIN | EPOLLEXCLUSIVE, mark);

	if (ret)
		return ret;
	reg->events = EPOLLIN;
	reg->data = mark_make(mark);
	reg->settled_events = 0; /* it may have been stripped since */
	reg->present = 1;
	return 0;
}

static bool lives(int pid, int tid)
{
	return sys(SYS_tgkill, pid, tid, 0) != -ESRCH;
}

static bool runs(int pid, int tid)
{
	return thread_runs(machine_sources()->proc, pid, tid);
}

struct slot_set registration_look(struct registration *reg, struct group *group, uint64_t now_ms)
{
	struct ledger *ledger = group->ledger;
	uint64_t due = ledger->look_ms;
	unsigned again_ms;

	/* Nobody sets it further ahead: then it is no time of ours. */
	if ((now_ms < due && due - now_ms <= LEDGER_LOOK_MS) ||
	    !atomic_compare_exchange_strong(&ledger->look_ms, &due, now_ms + LEDGER_LOOK_MS))
		return reg->draining;
	const struct ledger_eyes eyes = {
		.pid_space = self_pid_space(machine_sources()->proc),
		.lives = lives,
		.runs = runs,
	};
	if (++ledger->looks % RECOUNT_LOOKS == 0)
		group_recount(group);
	uint32_t generation = ledger->generation;
	struct slot_set waiting = group_waiting(group);
	struct slot_set left = ledger_check(ledger, &waiting, now_ms, &eyes, &again_ms);
	/* Who died may have had a socket of the group. */
	if (ledger->generation != generation)
		group_recount(group);
	if (again_ms < LEDGER_LOOK_MS)
		ledger->look_ms = now_ms + again_ms;
	return left;
}

void registration_recount(struct group *group)
{
	/* Others may look meanwhile: then it was to be counted anyway, or is so again. */
	group->ledger->looks |= RECOUNT_LOOKS - 1;
	group->ledger->look_ms = 0;
}

void registration_strip(struct registration *reg, int epfd, struct group *group)
{
	if (reg->epoch == self_epoch())
		ledger_release(group->ledger, reg->claim);
	reg->claim.watch = -1;
	for (unsigned s = 0; s < group->slot_count; s++)
		if (slot_in(&reg->added, s))
			registration_take_out(reg, epfd, group, s);
	if (reg->has_door && reg->epoch == self_epoch())
		remove_ours(epfd, &group->door);
	reg->has_door = false;
}

void registration_withdraw(struct registration *reg, int epfd, struct group *group)
{
	reg->present = 0;
	registration_strip(reg, epfd, group);
}

void registration_end(struct registration *reg, int epfd, struct group *group)
{
	/* The listener's closing may have withdrawn it, and its group may be gone. */
	if (reg->claim.watch >= 0 || !slots_empty(&reg->added) || reg->has_door)
		registration_withdraw(reg, epfd, group);
	reg->in_use = 0;
}

bool registration_fire(struct registration *reg)
{
	int fired = 0;

	return atomic_compare_exchange_strong(&reg->fired, &fired, 1);
}

bool registration_arm_once(struct registration *reg, int epfd)
{
	if (!registration_fire(reg))
		return false;
	struct epoll_event silent = {.events = EPOLLONESHOT, .data.u64 = reg->data};
	sys(SYS_epoll_ctl, epfd, EPOLL_CTL_MOD, reg->fd, &silent);
	return true;
}
