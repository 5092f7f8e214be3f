/* What a thread does before it waits on an epoll instance that has listeners: the members of its
 * home get in beside them, the ledger hears that it comes around, and changes are followed. */
#include "shim/group/deal.h"
#include "shim/group/heal.h"
#include "shim/group/listener.h"
#include "shim/group/mark.h"
#include "shim/group/ready.h"
#include "shim/group/watch_state.h"
#include "shim/kernel/clock.h"
#include "shim/kernel/log.h"
#include "shim/kernel/sys.h"
#include "shim/learn/teach.h"
#include "shim/process/machine.h"
#include "shim/process/self.h"

/* A thread that waits where another one did takes the instance over; when that goes on, the
 * instance is shared by a pool, and nobody's home. */
#define TAKEOVERS_MAX 8

/* Where the calling thread works, or those it deals connections out to. */
static struct slot_set home_of(const struct group *group, const cpu_set_t *mask)
{
	struct slot_set home = group_home(group, mask);

	deal_join_homes(group, &home);
	return home;
}

/* Puts the members of its home beside the listener, and says so in the ledger. */
static void settle(struct watch *watch, struct registration *reg, const cpu_set_t *mask,
		   uint64_t now)
{
	struct group *group = listener_group(reg->listener);
	struct slot_set home = {0};

	bool passed_by = listener_at(reg->listener)->passed_by;
	if (watch->takeovers < TAKEOVERS_MAX && group_is_steering(group) && !passed_by)
		home = home_of(group, mask);
	group_follow_nics(group);
	registration_settle(reg, watch->epfd, group, &home, now);
	/* Who does not want connections at present leaves looking for them to the others. */
	if (registration_is_armed(reg)) {
		reg->draining = registration_look(reg, group, now);
		/* A suspect is looked at again sooner. */
		if (group->ledger->look_ms < watch->next_ms)
			watch->next_ms = group->ledger->look_ms;
	}
	if (passed_by)
		slots_clear(&reg->draining);
	if (!slots_empty(&reg->draining))
		watch->draining = 1;
	group_publish_if_changed(group);
}

/* Two numbers of a listener, or two listeners of a group, in one instance: the members can be in it
 * but once, and stand beside the oldest. */
static bool is_oldest(const struct registration *reg)
{
	const struct group *group = listener_group(reg->listener);

	for (const struct registration *older = reg->next; older; older = older->next)
		if (listener_group(older->listener) == group)
			return false;
	return true;
}

/* What was taken out goes before anything is put in: it may be the same members. */
static void remove_gone(struct watch *watch, uint64_t now)
{
	struct registration *reg, *next, *_Atomic *link = &watch->first;

	for (reg = watch->first; reg; reg = next) {
		next = reg->next;
		if (reg->present)
			heal(reg->listener, reg->fd, now);
		if (reg->present) {
			link = &reg->next;
			continue;
		}
		*link = next;
		bool watched = reg->claim.watch >= 0;
		registration_end(reg, watch->epfd, listener_group(reg->listener));
		if (watched)
			group_publish_if_changed(listener_group(reg->listener));
	}
}

/* Once for each news, and not again before the next look: whoever changes a thousand routes a
 * second does not wake us as often. */
static void wait_for_news(struct watch *watch)
{
	bool is_new = watch->news_epoch != self_epoch();
	int fds[2];

	if (!watch->first)
		return;
	machine_news(fds);
	if (!is_new && (!watch->news_rest || --watch->news_rest))
		return;
	struct mark mark = {.kind = MARK_NEWS, .registration = registration_number(watch->first)};
	struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.u64 = mark_make(mark)};
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			sys(SYS_epoll_ctl, watch->epfd, is_new ? EPOLL_CTL_ADD : EPOLL_CTL_MOD,
			    fds[i], &event);
	watch->news_epoch = self_epoch();
	watch->news_rest = 0;
}

void watch_has_news(struct watch *watch)
{
	machine_noticed();
	watch->news_rest = 2;
	watch->next_ms = 0;
}

static void take_over(struct watch *watch)
{
	if (++watch->takeovers == TAKEOVERS_MAX)
		log_once(LOG_LEVEL_INFO, "several threads take turns to wait on one epoll "
					 "instance: its listeners are steered to none of them");
}

/* A thread that was not the last to wait here; where they take turns that says nothing any more. */
static bool is_other_thread(const struct watch *watch)
{
	return watch->takeovers < TAKEOVERS_MAX && watch->tid != self_tid();
}

/* What is not on the hot path: changed registrations, a changed affinity, the look at others. */
static void maintain(struct watch *watch, uint64_t now)
{
	int tid = self_tid();
	struct self_guard guard;
	cpu_set_t mask;

	if (self_is_borrowed())
		return;
	CPU_ZERO(&mask);
	sys(SYS_sched_getaffinity, 0, sizeof(mask), &mask);
	self_lock(&guard);
	machine_follow(now, true);
	now = clock_ms(); /* that may have taken a while */
	if (watch->tid != tid) {
		if (watch->tid && watch->takeovers < TAKEOVERS_MAX)
			take_over(watch);
		watch->tid = tid;
	}
	watch->dirty = watch->draining = 0;
	wait_for_news(watch);
	watch->next_ms = now + LEDGER_SLEEP_MS;
	remove_gone(watch, now);
	for (struct registration *reg = watch->first; reg; reg = reg->next) {
		if (is_oldest(reg))
			settle(watch, reg, &mask, now);
		else
			registration_yield(reg, watch->epfd, listener_group(reg->listener));
	}
	self_unlock(&guard);
}

/* Whether registrations that were touched since the last wait differ from what was settled. */
static bool is_changed(struct watch *watch)
{
	bool changed = false;

	watch->dirty = 0;
	for (struct registration *reg = watch->first; reg && !changed; reg = reg->next)
		changed = registration_is_changed(reg);
	return changed;
}

/* Tells the siblings that this thread comes around. */
static void say_moved(struct watch *watch, uint64_t now)
{
	for (const struct registration *reg = watch->first; reg; reg = reg->next)
		if (reg->claim.watch >= 0 && registration_is_armed(reg))
			ledger_moved(listener_group(reg->listener)->ledger, reg->claim, now);
	watch->said_ms = now;
}

bool watch_begin(struct watch *watch, uint64_t now)
{
	thread_watch = (int)(watch - watch_at(0)) + 1;
	ready_forget_levels();
	if (watch->dirty && is_changed(watch))
		watch->next_ms = 0;
	teach_study(now);
	if (now >= watch->next_ms || is_other_thread(watch) || machine_has_learned(now))
		maintain(watch, now);
	else if (now != watch->said_ms)
		say_moved(watch, now);
	return watch->draining;
}
