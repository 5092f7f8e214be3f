/* The epoll family. */
#include "shim/calls/descriptor.h"
#include "shim/calls/real.h"
#include "shim/calls/times.h"
#include "shim/group/deal.h"
#include "shim/group/listener.h"
#include "shim/group/watch_calm.h"
#include "shim/kernel/clock.h"
#include "shim/kernel/pointer.h"
#include "shim/migrate/migrate.h"
#include "shim/process/hot.h"
#include "shim/process/pinning.h"
#include "shim/process/runtime.h"
#include <stdbool.h>
#include <stddef.h>

static int fresh(int epfd)
{
	if (epfd >= 0 && runtime_on()) {
		descriptor_fresh(epfd);
		fd_set_word(epfd, FD_INSTANCE, 0);
	}
	return epfd;
}

EXPORTED int epoll_create(int size)
{
	return fresh(real_epoll_create(size));
}

EXPORTED int epoll_create1(int flags)
{
	return fresh(real_epoll_create1(flags));
}

EXPORTED int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	int ret = migrate_is_on && (op != EPOLL_CTL_ADD || may_point(event))
			  ? migrate_control(epfd, op, fd, event)
			  : real_epoll_ctl(epfd, op, fd, event);

	if (ret || !runtime_on())
		return ret;
	/* Only what is added for reading may turn out to be a listener never seen before. */
	int listener = op == EPOLL_CTL_ADD && event->events & EPOLLIN ? listener_of(fd)
								      : listener_known(fd);
	if (listener >= 0)
		watch_control(epfd, op, fd, listener, event);
	else if (op == EPOLL_CTL_ADD)
		deal_taken(fd);
	return ret;
}

/* Nobody waits for a listener here, and no wait means anything to the shim. */
static inline bool is_idle(void)
{
	return __builtin_expect(!watch_exists & !pinning_is_on & !migrate_is_on, 1);
}

/* The calling thread is about to wait on the instance. */
static inline bool is_watch(int epfd, unsigned *number)
{
	struct fd_word word = fd_get(epfd);
	bool is_one = word.kind == FD_EPOLL;

	*number = word.value;
	pinning_waits(is_one);
	migrate_waits(epfd);
	return is_one;
}

/* Also the wait of epoll_wait() for its second slice on, which has a mask then. */
static int wait_plain(const struct watch_call *call, int timeout_ms, const uint64_t *mask)
{
	return mask ? real_epoll_pwait(call->epfd, call->events, call->max_events, timeout_ms,
				       (const sigset_t *)mask)
		    : real_epoll_wait(call->epfd, call->events, call->max_events, timeout_ms);
}

static int wait_masked(const struct watch_call *call, int timeout_ms, const uint64_t *mask)
{
	return real_epoll_pwait(call->epfd, call->events, call->max_events, timeout_ms,
				(const sigset_t *)mask);
}

/* After a wait on what is not known to have listeners. Where that is a copy made by a raw system
 * call, it is known from now on. */
static int waited(const struct watch_call *call, int count)
{
	int number =
		count > 0 && watch_exists ? watch_recognise(call->epfd, call->events, count) : -1;

	if (__builtin_expect(number < 0, 1))
		return count;
	count = watch_translate((unsigned)number, call->events, count);
	return count ? count : watch_wait((unsigned)number, call);
}

static int wait_on(const struct watch_call *call)
{
	unsigned number;

	return is_watch(call->epfd, &number)
		       ? watch_wait(number, call)
		       : waited(call, call->wait(call, call->timeout_ms, call->mask));
}

/* Where somebody waits for a listener. Straight on where nothing is to be done, as each return
 * behind a system call costs, see fd_table.h. */
HOT_CODE static __attribute__((noinline)) int wait_watched(int epfd, struct epoll_event *events,
							   int max, int timeout)
{
	struct watch_call call = {.wait = wait_plain,
				  .epfd = epfd,
				  .events = events,
				  .max_events = max,
				  .timeout_ms = timeout};
	unsigned number;

	if (!is_watch(epfd, &number))
		return waited(&call, real_epoll_wait(epfd, events, max, timeout));
	uint64_t now = clock_ms();
	if (!watch_is_calm(number, now))
		return watch_wait(number, &call);
	int slice = watch_slice(watch_at(number), now, timeout);
	int count = real_epoll_wait(epfd, events, max, slice);
	if (count < 0 || (!count && slice == timeout))
		return count;
	count = watch_translate(number, events, count);
	return count ? count : watch_go_on(number, &call, now);
}

EXPORTED HOT_CODE int epoll_wait(int epfd, struct epoll_event *events, int max, int timeout)
{
	return is_idle() ? real_epoll_wait(epfd, events, max, timeout)
			 : wait_watched(epfd, events, max, timeout);
}

EXPORTED int epoll_pwait(int epfd, struct epoll_event *events, int max, int timeout,
			 const sigset_t *mask)
{
	if (is_idle())
		return real_epoll_pwait(epfd, events, max, timeout, mask);
	struct watch_call call = {.wait = wait_masked,
				  .epfd = epfd,
				  .events = events,
				  .max_events = max,
				  .timeout_ms = timeout,
				  .mask = (const uint64_t *)mask};
	return wait_on(&call);
}

#if !__GLIBC_PREREQ(2, 35)
int epoll_pwait2(int epfd, struct epoll_event *events, int max, const struct timespec *timeout,
		 const sigset_t *mask);
#endif

EXPORTED int epoll_pwait2(int epfd, struct epoll_event *events, int max,
			  const struct timespec *timeout, const sigset_t *mask)
{
	if (is_idle() || time_is_bad(timeout))
		return real_epoll_pwait2(epfd, events, max, timeout, mask);
	struct watch_call call = {.wait = wait_masked,
				  .epfd = epfd,
				  .events = events,
				  .max_events = max,
				  .timeout_ms = time_to_ms(timeout),
				  .mask = (const uint64_t *)mask};
	unsigned number;

	return is_watch(epfd, &number)
		       ? watch_wait(number, &call)
		       : waited(&call, real_epoll_pwait2(epfd, events, max, timeout, mask));
}
