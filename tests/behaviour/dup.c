/* dup(), dup2(), dup3() and F_DUPFD of a listener, over one, and what they refuse. */
#include "tests/behaviour/behaviour.h"
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/resource.h>

static void serves(int listener, int port)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 7};
	int epfd = epoll_create1(0);

	CHECK(!epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event));
	CHECK(epoll_wait(epfd, &event, 1, 10) == 0);
	for (enum way way = LOOPBACK; way < WAYS; way++) {
		int one = connected(way, port);
		CHECK(epoll_wait(epfd, &event, 1, 2000) == 1 && event.data.u64 == 7);
		int fd = accept(listener, NULL, NULL);
		CHECK(fd >= 0 && is_pair(one, fd));
		close(fd);
		gone(one);
	}
	close(epfd);
}

void behaviour(void)
{
	int listener = tcp_listener(SOCK_NONBLOCK), port = port_of(listener);
	int null = open("/dev/null", O_RDONLY), copies[4];
	struct rlimit limit;

	copies[0] = dup(listener);
	copies[1] = fcntl(listener, F_DUPFD, 100);
	copies[2] = fcntl64(listener, F_DUPFD_CLOEXEC, 200);
	copies[3] = dup3(listener, 300, O_CLOEXEC);
	CHECK(copies[0] == null + 1 && copies[1] == 100 && copies[2] == 200 && copies[3] == 300);
	CHECK(!(fcntl(100, F_GETFD) & FD_CLOEXEC) && fcntl(200, F_GETFD) & FD_CLOEXEC);
	CHECK(dup2(listener, listener) == listener);
	CHECK(!close(listener));
	for (int i = 0; i < 4; i++) {
		serves(copies[i], port);
		if (i < 3)
			CHECK(!close(copies[i]));
	}
	/* What fails leaves a listener as it was, and what waits at it. */
	NEED(!getrlimit(RLIMIT_NOFILE, &limit));
	rlim_t before = limit.rlim_cur;
	int waiting = connected(CPU0, port);
	CHECK_FAILS(dup2(-1, 300), EBADF);
	CHECK_FAILS(dup2(null + 900, 300), EBADF);
	CHECK_FAILS(dup2(300, -1), EBADF);
	CHECK_FAILS(dup2(300, 1 << 30), EBADF);
	CHECK_FAILS(dup3(300, 300, 0), EINVAL);
	CHECK_FAILS(dup3(null, 300, 0x4000), EINVAL);
	CHECK_FAILS(dup3(null, 300, O_NONBLOCK), EINVAL);
	CHECK_FAILS(dup(-1), EBADF);
	CHECK_FAILS(fcntl(300, F_DUPFD, 1 << 30), EINVAL);
	CHECK_FAILS(fcntl(-1, F_GETFD), EBADF);
	limit.rlim_cur = 290;
	NEED(!setrlimit(RLIMIT_NOFILE, &limit));
	CHECK_FAILS(dup2(null, 300), EBADF);
	CHECK_FAILS(dup3(null, 300, O_CLOEXEC), EBADF);
	limit.rlim_cur = before;
	NEED(!setrlimit(RLIMIT_NOFILE, &limit));
	CHECK(is_as_it_was(300));
	CHECK(is_readable(300, 2000));
	int fd = accept(300, NULL, NULL);
	CHECK(fd >= 0 && is_pair(waiting, fd));
	close(fd);
	gone(waiting);
	serves(300, port);

	/* Over a listener: it is closed; over a socket, by a listener: that one listens now. */
	CHECK(dup2(null, 300) == 300);
	for (enum way way = LOOPBACK; way < WAYS; way++)
		CHECK(is_refused(way, port));
	CHECK(listening_on(port) == 0);
	CHECK_FAILS(accept(300, NULL, NULL), ENOTSOCK);
	int other = tcp_listener(SOCK_NONBLOCK), socket_fd = socket(AF_INET, SOCK_STREAM, 0);
	port = port_of(other);
	CHECK(dup2(other, socket_fd) == socket_fd);
	CHECK(!close(other));
	serves(socket_fd, port);
	/* One listener over another. */
	int second = tcp_listener(SOCK_NONBLOCK), second_port = port_of(second);
	CHECK(dup2(second, socket_fd) == socket_fd);
	CHECK(is_refused(LOOPBACK, port) && is_refused(CPU0, port));
	serves(socket_fd, second_port);
	CHECK(!close(second));
	serves(socket_fd, second_port);
}
