/* poll and select, and their kin. */
#include "shim/calls/poll.h"
#include "shim/calls/real.h"
#include "shim/calls/times.h"
#include "shim/group/listener.h"
#include "shim/group/stand_in.h"
#include "shim/kernel/pointer.h"
#include "shim/process/pinning.h"
#include "shim/process/runtime.h"
#include <stdbool.h>
#include <stddef.h>

static inline bool has_listener(const struct pollfd *fds, nfds_t count)
{
	if (!runtime_on() || !may_point(fds))
		return false;
	for (nfds_t i = 0; i < count; i++)
		if (fds[i].events & (POLLIN | POLLRDNORM) && listener_of(fds[i].fd) >= 0) {
			pinning_waits(true);
			return true;
		}
	return false;
}

int call_poll(struct pollfd *fds, nfds_t count, int timeout_ms, const uint64_t *mask)
{
	struct timespec timeout = {.tv_sec = timeout_ms / 1000,
				   .tv_nsec = timeout_ms % 1000 * 1000000L};

	return mask ? real_ppoll(fds, count, timeout_ms < 0 ? NULL : &timeout,
				 (const sigset_t *)mask)
		    : real_poll(fds, count, timeout_ms);
}

static int poll_any(struct pollfd *fds, nfds_t count, int timeout_ms, const sigset_t *mask)
{
	return has_listener(fds, count)
		       ? stand_in_poll(fds, count, timeout_ms, (const uint64_t *)mask, call_poll)
		       : STAND_IN_NOT_NEEDED;
}

EXPORTED int poll(struct pollfd *fds, nfds_t count, int timeout)
{
	int ret = poll_any(fds, count, timeout, NULL);

	return ret == STAND_IN_NOT_NEEDED ? real_poll(fds, count, timeout) : ret;
}

EXPORTED int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
		   const sigset_t *mask)
{
	int ret = time_is_bad(timeout) ? STAND_IN_NOT_NEEDED
				       : poll_any(fds, count, time_to_ms(timeout), mask);

	return ret == STAND_IN_NOT_NEEDED ? real_ppoll(fds, count, timeout, mask) : ret;
}

/* What _FORTIFY_SOURCE makes of poll() and ppoll(); real ones abort where room is too small. */
int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t room);
int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
		const sigset_t *mask, size_t room);

EXPORTED int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t room)
{
	int ret = room / sizeof(*fds) < count ? STAND_IN_NOT_NEEDED
					      : poll_any(fds, count, timeout, NULL);

	return ret == STAND_IN_NOT_NEEDED ? real___poll_chk(fds, count, timeout, room) : ret;
}

EXPORTED int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
			 const sigset_t *mask, size_t room)
{
	int ret = room / sizeof(*fds) < count || time_is_bad(timeout)
			  ? STAND_IN_NOT_NEEDED
			  : poll_any(fds, count, time_to_ms(timeout), mask);

	return ret == STAND_IN_NOT_NEEDED ? real___ppoll_chk(fds, count, timeout, mask, room) : ret;
}
