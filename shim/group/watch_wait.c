/* Waiting on an epoll instance that has listeners in it. */
#include "shim/group/door.h"
#include "shim/group/listener.h"
#include "shim/group/mark.h"
#include "shim/group/ready.h"
#include "shim/group/steal.h"
#include "shim/group/watch_state.h"
#include "shim/kernel/clock.h"
#include "shim/kernel/log.h"
#include "shim/kernel/sys.h"
#include "shim/process/hot.h"
#include <errno.h>
#include <signal.h>
#include <stddef.h>

/* So many reports for so long, and no accept(). */
#define UNANSWERED_MAX 16
#define UNANSWERED_MS  2000

/* Who waits by libc and accepts by system calls of its own never comes by what waits at a member:
 * once that is clear, its connections come over the common queue. That takes its time, as another
 * thread, or one that was busy, may yet call accept(). */
static bool is_passed_by(struct registration *reg)
{
	struct listener *listener = listener_at(reg->listener);

	if (__builtin_expect(listener->asked, 1))
		return false;
	uint64_t now = clock_ms();
	if (!reg->unanswered++)
		reg->unanswered_ms = now;
	if (reg->unanswered < UNANSWERED_MAX || now - reg->unanswered_ms < UNANSWERED_MS)
		return false;
	if (!atomic_exchange(&listener->passed_by, true))
		log_warn("port %u: nobody accepts its connections by accept(): they come over the "
			 "common queue",
			 socket_port(&listener_group(reg->listener)->place.address));
	return true;
}

/* An event of a member becomes the application's event for its listener, once a batch.
 * Returns false where there is nothing to tell the application. */
static bool translate(struct watch *watch, const struct epoll_event *events, int before,
		      struct epoll_event *event)
{
	struct mark mark = mark_of(event);
	struct registration *reg = registration_at(mark.registration);

	if (mark.kind == MARK_LISTENER)
		return true;
	if (mark.kind == MARK_NEWS) {
		watch_has_news(watch);
		return false;
	}
	if (!reg->present) {
		watch->dirty = 1;
		return false;
	}
	struct group *group = listener_group(reg->listener);
	if (mark.kind == MARK_DOOR) {
		door_answer(group);
		return false;
	}
	/* Its listening ended: it is to be taken out, or would report that all the time. */
	if (!(event->events & EPOLLIN) || is_passed_by(reg)) {
		watch->next_ms = 0;
		return false;
	}
	if (!registration_arm(reg, watch->epfd)) {
		watch->dirty = 1;
		return false;
	}
	ready_add((struct ready_member){.group = (uint16_t)group_number(group),
					.slot = mark.slot,
					.home = true,
					.edge = reg->events & EPOLLET});
	event->events &= EPOLLIN | EPOLLRDNORM;
	event->data.u64 = reg->data;
	for (int i = 0; i < before; i++)
		if (events[i].data.u64 == reg->data)
			return false;
	return true;
}

/* The application's own event of a listener with EPOLLONESHOT: false where it was told before by
 * way of a member. The members' events are dropped from now on, and each comes but once. */
static bool is_news(const struct watch *watch, const struct epoll_event *event)
{
	for (struct registration *reg = watch->first; reg; reg = reg->next)
		if (reg->present && reg->events & EPOLLONESHOT && reg->data == event->data.u64)
			return registration_fire(reg);
	return true;
}

/* Returns how many of the events are left for the application. */
HOT_CODE static int translate_all(struct watch *watch, struct epoll_event *events, int count)
{
	int kept = 0;

	for (int i = 0; i < count; i++) {
		struct epoll_event event = events[i];
		bool keep = mark_is(&event) ? translate(watch, events, kept, &event)
					    : !watch->has_oneshot || is_news(watch, &event);
		if (keep)
			events[kept++] = event;
	}
	return kept;
}

HOT_CODE int watch_translate(unsigned number, struct epoll_event *events, int count)
{
	return translate_all(watch_at(number), events, count);
}

/* Marks what of a registration's slots still has connections as ready. */
static bool drain_one(struct registration *reg)
{
	const struct group *group = listener_group(reg->listener);
	struct slot_set waiting = group_waiting(group);
	bool any = false;

	for (unsigned s = 0; s < group->slot_count; s++) {
		if (!slot_in(&reg->draining, s))
			continue;
		if (slot_in(&waiting, s))
			any |= ready_add((struct ready_member){
				.group = (uint16_t)group_number(group), .slot = (uint16_t)s});
		else
			slot_remove(&reg->draining, s);
	}
	return any;
}

/* Connections that wait where nobody moves become events of their listener. */
static int drain(struct watch *watch, struct epoll_event *events, int count, int max)
{
	bool left = false;

	for (struct registration *reg = watch->first; reg; reg = reg->next) {
		if (!registration_is_armed(reg) || slots_empty(&reg->draining) || !drain_one(reg) ||
		    !registration_arm(reg, watch->epfd))
			continue;
		left = true;
		if (count < max)
			events[count++] =
				(struct epoll_event){.events = EPOLLIN, .data.u64 = reg->data};
	}
	watch->draining = left;
	return count;
}

/* A filter of system calls lets the application's own kind of wait through and refuses the one with
 * a mask: then no wait is cut into slices, and its thread does not look after others. */
HOT_DATA _Atomic bool watch_masks_are_refused;

/* After a wait that failed. */
static bool is_refused(int count)
{
	return count < 0 && (errno == EPERM || errno == ENOSYS || errno == EACCES);
}

/* Never early, so at most two ticks late. */
static int64_t left_of(const struct watch_call *call, uint64_t gone_ms)
{
	int64_t left = call->timeout_ms - (int64_t)gone_ms + CLOCK_TICK_MS;

	return left > 0 ? left : 0;
}

/* A wait that goes on in rounds, for whatever is not the application's to see. */
struct rounds {
	uint64_t start, signals;
	const uint64_t *mask;
	int64_t left;
	bool sliced; /* signals are blocked, but while the kernel waits */
	bool whole;  /* it is not cut */
};

/* A signal that arrives between two slices of a wait must end it as it would have ended a single
 * one. So signals are blocked in between, and only the kernel lets them in, while it waits. */
static void block_between(struct rounds *rounds)
{
	const uint64_t all = ~UINT64_C(0);

	if (rounds->sliced || rounds->whole)
		return;
	sys(SYS_rt_sigprocmask, SIG_BLOCK, &all, &rounds->signals, sizeof(all));
	rounds->mask = rounds->mask ? rounds->mask : &rounds->signals;
	rounds->sliced = true;
}

static void allow_again(struct rounds *rounds)
{
	if (rounds->sliced)
		sys(SYS_rt_sigprocmask, SIG_SETMASK, &rounds->signals, NULL,
		    sizeof(rounds->signals));
	rounds->sliced = false;
}

/* After a round that brought nothing. False: the application has waited long enough. */
static bool goes_on(const struct watch_call *call, struct rounds *rounds, uint64_t now)
{
	if (rounds->left > 0)
		rounds->left = left_of(call, now - rounds->start);
	if (call->timeout_ms >= 0 && rounds->left <= 0)
		return false;
	block_between(rounds);
	return true;
}

static int wait_in_rounds(struct watch *watch, const struct watch_call *call, struct rounds *rounds,
			  uint64_t now)
{
	for (;;) {
		uint64_t begun = now;
		bool draining = watch_begin(watch, now);
		now = clock_ms();
		/* Drivers that were asked may have taken their time. */
		if (rounds->left > 0 && now - begun > 2 * CLOCK_TICK_MS)
			rounds->left = left_of(call, now - rounds->start);
		if (watch->private && atomic_exchange(&watch->lost, 0))
			return 0;
		int slice = rounds->whole
				    ? (int)rounds->left
				    : steal_slice(watch, watch_slice(watch, now, rounds->left));
		int count = call->wait(call, draining ? 0 : slice, rounds->mask);
		if (rounds->sliced && !call->mask && is_refused(count)) {
			watch_masks_are_refused = rounds->whole = true;
			allow_again(rounds);
			rounds->mask = NULL;
			continue;
		}
		if (count < 0 || (!count && !draining && slice == rounds->left))
			return count;
		count = translate_all(watch, call->events, count);
		if (draining)
			count = drain(watch, call->events, count, call->max_events);
		if (count)
			return steal_even(watch, call->events, count, call->max_events);
		now = clock_ms();
		count = steal_look(watch, call->events, call->max_events);
		if (count || !goes_on(call, rounds, now))
			return count;
	}
}

static struct rounds begin_rounds(const struct watch_call *call, uint64_t now)
{
	return (struct rounds){.start = now,
			       .mask = call->mask,
			       .left = call->timeout_ms,
			       .whole = watch_masks_are_refused && !call->mask};
}

int watch_wait(unsigned number, const struct watch_call *call)
{
	uint64_t now = clock_ms();
	struct rounds rounds = begin_rounds(call, now);

	if (call->max_events <= 0)
		return call->wait(call, call->timeout_ms, call->mask);
	int count = wait_in_rounds(watch_at(number), call, &rounds, now);
	allow_again(&rounds);
	return count;
}

int watch_go_on(unsigned number, const struct watch_call *call, uint64_t start_ms)
{
	struct rounds rounds = begin_rounds(call, start_ms);
	uint64_t now = clock_ms();
	int count = goes_on(call, &rounds, now)
			    ? wait_in_rounds(watch_at(number), call, &rounds, now)
			    : 0;

	allow_again(&rounds);
	return count;
}

int watch_event_listener(const struct epoll_event *event)
{
	struct mark mark = mark_of(event);

	return mark_is(event) ? registration_at(mark.registration)->listener : -1;
}
