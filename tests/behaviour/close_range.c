/* close_range() and closefrom(): all in the range is gone, nothing else, and a server outside it
 * works on. */
#include "tests/behaviour/behaviour.h"
#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/epoll.h>

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void serves(int listener)
{
	for (enum way way = LOOPBACK; way < WAYS; way++) {
		int one = connected(way, port_of(listener));
		CHECK(is_readable(listener, 2000));
		int fd = accept(listener, NULL, NULL);
		CHECK(fd >= 0 && is_pair(one, fd));
		close(fd);
		gone(one);
	}
}

void behaviour(void)
{
	int listener = tcp_listener(SOCK_NONBLOCK), port = port_of(listener);
	int other = open("/dev/null", O_RDONLY), third = dup(other);

	serves(listener);
	CHECK(!close_range((unsigned)other, ~0u, CLOSE_RANGE_CLOEXEC));
	CHECK(fcntl(other, F_GETFD) & FD_CLOEXEC);
	CHECK_FAILS(close_range(5, 4, 0), EINVAL);
	CHECK_FAILS(close_range((unsigned)listener, (unsigned)listener, 0x4000), EINVAL);
	CHECK(is_open(listener) && is_as_it_was(listener));
	serves(listener);
	CHECK(!close_range((unsigned)other, ~0u, 0));
	CHECK(!is_open(other) && !is_open(third) && is_open(listener));
	serves(listener);
	closefrom(listener + 1);
	CHECK(is_as_it_was(listener));
	serves(listener);

	/* From nothing on: in a child, which needs none of them. */
	pid_t pid = fork();
	if (!pid) {
		if (close_range(0, 2, 0) || is_open(0) || is_open(1) || is_open(2))
			_exit(1);
		if (!is_open(listener))
			_exit(2);
		if (close_range(0, ~0u, 0) || is_open(listener))
			_exit(3);
		_exit(open("/dev/null", O_RDONLY) == 0 ? 0 : 4);
	}
	CHECK(exit_of(pid) == 0);
	pid = fork();
	if (!pid) {
		closefrom(0);
		_exit(is_open(0) || is_open(listener) ? 1 : 0);
	}
	CHECK(exit_of(pid) == 0);
	serves(listener);

	/* A number in the middle. */
	int fds[5];
	for (int i = 0; i < 5; i++)
		fds[i] = open("/dev/null", O_RDONLY);
	CHECK(!close_range((unsigned)fds[1], (unsigned)fds[3], CLOSE_RANGE_UNSHARE));
	CHECK(is_open(fds[0]) && !is_open(fds[1]) && !is_open(fds[3]) && is_open(fds[4]));
	CHECK(!close_range((unsigned)listener, (unsigned)listener, 0));
	for (enum way way = LOOPBACK; way < WAYS; way++)
		CHECK(is_refused(way, port));
	CHECK(listening_on(port) == 0);
}
