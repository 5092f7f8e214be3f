/* The wait of poll() and select(), see stand_in.h. */
#pragma once
#include <poll.h>
#include <stdint.h>

/* The real poll() where there is no mask, so what an application that calls poll() may call. */
int call_poll(struct pollfd *fds, nfds_t count, int timeout_ms, const uint64_t *mask);
