/* close_range() refused, as by old kernels and filters: closefrom() closes all the same, by way of
 * /proc, and the failing close_range() leaves a listener and what waits at it alone. */
#include "tests/behaviour/behaviour.h"
#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/syscall.h>

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void takes(int listener, int one)
{
	CHECK(is_readable(listener, 3000));
	int fd = accept(listener, NULL, NULL);
	CHECK(fd >= 0 && is_pair(one, fd));
	close(fd);
	gone(one);
}

static void serves(int listener)
{
	for (enum way way = LOOPBACK; way < WAYS; way++)
		takes(listener, connected(way, port_of(listener)));
}

static void refused(int error)
{
	int listener = tcp_listener(SOCK_NONBLOCK), null = open("/dev/null", O_RDONLY);

	serves(listener);
	refuse(SYS_close_range, error);
	int waiting = connected(CPU0, port_of(listener));
	CHECK_FAILS(close_range((unsigned)listener, ~0u, 0), error);
	CHECK_FAILS(close_range((unsigned)listener, ~0u, CLOSE_RANGE_CLOEXEC), error);
	CHECK(is_open(listener) && is_open(null) && is_as_it_was(listener));
	takes(listener, waiting);

	/* More than fit into what is read of a directory at a time. */
	int copy = -1;
	for (int i = 0; i < 300; i++)
		copy = dup(null);
	closefrom(null);
	CHECK(!is_open(null) && !is_open(copy) && !is_open(copy / 2) && is_open(listener));
	CHECK(is_as_it_was(listener));
	serves(listener);
	int port = port_of(listener);
	closefrom(listener);
	CHECK(is_refused(CPU0, port) && is_refused(CPU1, port));
	pid_t pid = fork();
	if (!pid) {
		closefrom(-1);
		_exit(is_open(0) || is_open(1) || is_open(2) ? 1 : 0);
	}
	CHECK(exit_of(pid) == 0);
}

void behaviour(void)
{
	static const int errors[] = {ENOSYS, EPERM};

	for (int i = 0; i < 2; i++) {
		pid_t pid = fork();
		NEED(pid >= 0);
		if (!pid) {
			refused(errors[i]);
			check_finish();
		}
		CHECK(exit_of(pid) == 0);
	}
}
