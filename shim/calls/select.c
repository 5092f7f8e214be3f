/* select and pselect: by way of poll() where a listener is in a set, so that the sets never gain a
 * descriptor and no number is too high for them. */
#include "shim/calls/poll.h"
#include "shim/calls/real.h"
#include "shim/calls/times.h"
#include "shim/group/listener.h"
#include "shim/group/stand_in.h"
#include "shim/kernel/pointer.h"
#include "shim/process/pinning.h"
#include "shim/process/runtime.h"
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Events by which the kernel's select() understands its three sets. */
#define IN_EVENTS    (POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR)
#define OUT_EVENTS   (POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR)
#define OTHER_EVENTS POLLPRI

struct sets {
	fd_set *in, *out, *other;
};

static bool in_set(const fd_set *set, int fd)
{
	return set && FD_ISSET(fd, set);
}

static bool has_listener(int count, const struct sets *sets)
{
	int known = count < FD_SETSIZE ? count : FD_SETSIZE, fd = 0;

	if (!runtime_on() || !may_point(sets->in) || (sets->out && !may_point(sets->out)) ||
	    (sets->other && !may_point(sets->other)))
		return false;
	while (fd < known && !(FD_ISSET(fd, sets->in) && listener_of(fd) >= 0))
		fd++;
	if (fd == known)
		return false;
	/* The sets may be larger than an fd_set, or the count larger than the sets: how far the
	 * kernel reads them, only it knows. */
	if (count > FD_SETSIZE) {
		stand_in_leave();
		return false;
	}
	pinning_waits(true);
	return true;
}

static nfds_t to_poll(struct pollfd *fds, int count, const struct sets *sets)
{
	nfds_t used = 0;

	for (int fd = 0; fd < count; fd++) {
		short events = 0;
		if (in_set(sets->in, fd))
			events |= POLLIN | POLLRDNORM | POLLRDBAND;
		if (in_set(sets->out, fd))
			events |= POLLOUT | POLLWRNORM | POLLWRBAND;
		if (in_set(sets->other, fd))
			events |= POLLPRI;
		if (events)
			fds[used++] = (struct pollfd){.fd = fd, .events = events};
	}
	return used;
}

static int keep(fd_set *set, int fd, bool ready)
{
	if (!in_set(set, fd))
		return 0;
	if (!ready)
		FD_CLR(fd, set);
	return ready;
}

/* Returns how many members the sets have now; -1 with EBADF as select() has it. */
static int from_poll(const struct pollfd *fds, nfds_t count, const struct sets *sets)
{
	int total = 0;

	for (nfds_t i = 0; i < count; i++) {
		if (fds[i].revents & POLLNVAL) {
			errno = EBADF;
			return -1;
		}
	}
	for (nfds_t i = 0; i < count; i++) {
		total += keep(sets->in, fds[i].fd, fds[i].revents & IN_EVENTS);
		total += keep(sets->out, fds[i].fd, fds[i].revents & OUT_EVENTS);
		total += keep(sets->other, fds[i].fd, fds[i].revents & OTHER_EVENTS);
	}
	return total;
}

/* Members of any of the sets, at least. */
static size_t count_members(int count, const struct sets *sets)
{
	size_t members = 0;

	for (int word = 0; word * NFDBITS < count; word++) {
		fd_mask any = sets->in->fds_bits[word];
		if (sets->out)
			any |= sets->out->fds_bits[word];
		if (sets->other)
			any |= sets->other->fds_bits[word];
		members += (size_t)__builtin_popcountl((unsigned long)any);
	}
	return members;
}

/* On the stack, which may be small: no more of it than the sets have members. */
static int select_as_poll(int count, const struct sets *sets, int timeout_ms, const sigset_t *mask)
{
	struct pollfd *fds = __builtin_alloca(count_members(count, sets) * sizeof(*fds));
	nfds_t used = to_poll(fds, count, sets);
	int ret = stand_in_poll(fds, used, timeout_ms, (const uint64_t *)mask, call_poll);

	return ret < 0 ? ret : from_poll(fds, used, sets);
}

/* What select() makes of its time, which may have more than a second of microseconds. */
static struct timespec normal(const struct timeval *timeout)
{
	struct timespec time = {.tv_nsec = timeout->tv_usec % 1000000 * 1000};

	if (timeout->tv_usec < 0 ||
	    __builtin_add_overflow(timeout->tv_sec, timeout->tv_usec / 1000000, &time.tv_sec))
		time.tv_sec = -1;
	return time;
}

/* select() tells the application how much of the time is left. */
static void set_left(struct timeval *timeout, struct timespec time, const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	time.tv_sec -= now.tv_sec - start->tv_sec;
	time.tv_nsec -= now.tv_nsec - start->tv_nsec;
	for (; time.tv_nsec < 0; time.tv_nsec += 1000000000)
		time.tv_sec--;
	*timeout = (struct timeval){0};
	if (time.tv_sec >= 0) {
		timeout->tv_sec = time.tv_sec + time.tv_nsec / 1000000000;
		timeout->tv_usec = time.tv_nsec % 1000000000 / 1000;
	}
}

EXPORTED int select(int count, fd_set *in, fd_set *out, fd_set *other, struct timeval *timeout)
{
	struct sets sets = {in, out, other};
	struct timespec start, time = {0};

	if (timeout)
		time = normal(timeout);
	if (!has_listener(count, &sets) || (timeout && time_is_bad(&time)))
		return real_select(count, in, out, other, timeout);
	clock_gettime(CLOCK_MONOTONIC, &start);
	int ret = select_as_poll(count, &sets, time_to_ms(timeout ? &time : NULL), NULL);
	if (ret == STAND_IN_NOT_NEEDED)
		return real_select(count, in, out, other, timeout);
	if (timeout)
		set_left(timeout, time, &start);
	return ret;
}

EXPORTED int pselect(int count, fd_set *in, fd_set *out, fd_set *other,
		     const struct timespec *timeout, const sigset_t *mask)
{
	struct sets sets = {in, out, other};

	if (!has_listener(count, &sets) || time_is_bad(timeout))
		return real_pselect(count, in, out, other, timeout, mask);
	int ret = select_as_poll(count, &sets, time_to_ms(timeout), mask);
	return ret == STAND_IN_NOT_NEEDED ? real_pselect(count, in, out, other, timeout, mask)
					  : ret;
}
