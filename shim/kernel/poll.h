/* poll() without a signal mask. */
#pragma once
#include "shim/kernel/sys.h"
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <time.h>

/* By the other system call where one is refused: a filter may know only that of the application's
 * libc. -1: waits for ever. */
static inline long sys_poll(struct pollfd *fds, unsigned count, int timeout_ms)
{
	struct timespec timeout = {.tv_sec = timeout_ms / 1000,
				   .tv_nsec = timeout_ms % 1000 * 1000000L};
	long ready = sys(SYS_ppoll, fds, count, timeout_ms < 0 ? NULL : &timeout, NULL, 0);

#ifdef SYS_poll
	if (ready == -EPERM || ready == -ENOSYS)
		ready = sys(SYS_poll, fds, count, timeout_ms);
#endif
	return ready;
}
