/* close(): a listener's number and port are free at once, copies keep it, errors stay. */
#include "tests/behaviour/behaviour.h"
#include <fcntl.h>
#include <sys/epoll.h>

void behaviour(void)
{
	int listener = tcp_listener(SOCK_NONBLOCK), port = port_of(listener);

	CHECK_FAILS(close(-1), EBADF);
	CHECK_FAILS(close(listener + 500), EBADF);
	CHECK(!close(listener));
	CHECK_FAILS(close(listener), EBADF);
	CHECK(listening_on(port) == 0);
	for (enum way way = LOOPBACK; way < WAYS; way++)
		CHECK(is_refused(way, port));
	CHECK(open("/dev/null", O_RDONLY) == listener);
	CHECK_FAILS(accept(listener, NULL, NULL), ENOTSOCK);
	CHECK(!close(listener));

	/* Connections that wait when it is closed are reset. */
	listener = tcp_listener(SOCK_NONBLOCK);
	port = port_of(listener);
	int epfd = epoll_create1(0), queued[WAYS];
	struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
	CHECK(!epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event));
	CHECK(epoll_wait(epfd, &event, 1, 20) == 0);
	for (enum way way = LOOPBACK; way < WAYS; way++)
		queued[way] = connected(way, port);
	CHECK(!close(listener));
	for (enum way way = LOOPBACK; way < WAYS; way++) {
		char byte;
		CHECK_FAILS(recv(queued[way], &byte, 1, 0), ECONNRESET);
		gone(queued[way]);
	}
	CHECK(epoll_wait(epfd, &event, 1, 20) == 0);
	close(epfd);

	/* A child that closes its copy does not end it for the parent. */
	listener = tcp_listener(SOCK_NONBLOCK);
	port = port_of(listener);
	pid_t pid = fork();
	if (!pid)
		_exit(close(listener) ? 1 : 0);
	CHECK(exit_of(pid) == 0);
	for (enum way way = LOOPBACK; way < WAYS; way++) {
		int one = connected(way, port);
		CHECK(is_readable(listener, 2000));
		int fd = accept(listener, NULL, NULL);
		CHECK(fd >= 0 && is_pair(one, fd));
		close(fd);
		gone(one);
	}
	errno = ENOANO;
	CHECK(!close(listener) && errno == ENOANO);
}
