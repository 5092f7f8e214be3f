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
static int translate_all(struct watch *watch, struct epoll_event *events, int count)
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

int watch_translate(unsigned number, struct epoll_event *events, int count)
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

/* How long the thread may sleep now. left_ms: -1 for ever. */
static int slice_of(const struct watch *watch, uint64_t now_ms, int64_t left_ms)
{
	int64_t slice = (int64_t)(watch->next_ms - now_ms);

	/* Another thread may want it looked after at once. */
	if (slice < 0)
		slice = 0;
	return (int)(left_ms < 0 || left_ms > slice ? slice : left_ms);
}

/* A filter of system calls lets the application's own kind of wait through and refuses the one with
 * a mask: then no wait is cut into slices, and its thread does not look after others. */
static _Atomic bool masks_are_refused;

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

int watch_wait(unsigned number, const struct watch_call *call)
{
	struct watch *watch = watch_at(number);
	uint64_t now = clock_ms(), start = now, signals, all = ~UINT64_C(0);
	const uint64_t *mask = call->mask;
	int64_t left = call->timeout_ms;
	bool sliced = false, whole = masks_are_refused && !mask;
	int count;

	if (call->max_events <= 0)
		return call->wait(call, call->timeout_ms, mask);
	for (;;) {
		uint64_t begun = now;
		bool draining = watch_begin(watch, now);
		now = clock_ms();
		/* Drivers that were asked may have taken their time. */
		if (left > 0 && now - begun > 2 * CLOCK_TICK_MS)
			left = left_of(call, now - start);
		if (watch->private && atomic_exchange(&watch->lost, 0)) {
			count = 0;
			break;
		}
		int slice = whole ? (int)left : steal_slice(watch, now, slice_of(watch, now, left));
		count = call->wait(call, draining ? 0 : slice, mask);
		if (sliced && !call->mask && is_refused(count)) {
			masks_are_refused = whole = true;
			sys(SYS_rt_sigprocmask, SIG_SETMASK, &signals, NULL, sizeof(signals));
			mask = NULL;
			sliced = false;
			continue;
		}
		if (count < 0 || (!count && !draining && slice == left))
			break;
		count = translate_all(watch, call->events, count);
		if (draining)
			count = drain(watch, call->events, count, call->max_events);
		if (count) {
			count = steal_even(watch, now, call->events, count, call->max_events);
			break;
		}
		now = clock_ms();
		count = steal_look(watch, now, call->events, call->max_events);
		if (count)
			break;
		if (left > 0)
			left = left_of(call, now - start);
		if (call->timeout_ms >= 0 && left <= 0)
			break;
		/* A signal that arrives between two slices of a wait must end it as it would have
		 * ended a single one. So signals are blocked in between, and only the kernel lets
		 * them in, while it waits. */
		if (!sliced && !whole) {
			sys(SYS_rt_sigprocmask, SIG_BLOCK, &all, &signals, sizeof(all));
			mask = mask ? mask : &signals;
			sliced = true;
		}
	}
	if (sliced)
		sys(SYS_rt_sigprocmask, SIG_SETMASK, &signals, NULL, sizeof(signals));
	return count;
}

int watch_event_listener(const struct epoll_event *event)
{
	struct mark mark = mark_of(event);

	return mark_is(event) ? registration_at(mark.registration)->listener : -1;
}
