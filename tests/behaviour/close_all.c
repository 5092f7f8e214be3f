/* An application that closes every number it does not know still serves, on every way. */
#include "tests/behaviour/behaviour.h"
#include <sys/epoll.h>
#include <sys/syscall.h>

static void serves(int listener, int epfd)
{
	for (enum way way = LOOPBACK; way < WAYS; way++) {
		struct epoll_event event = {0};
		int one = connected(way, port_of(listener));
		CHECK(epoll_wait(epfd, &event, 1, 3000) == 1 && event.data.u64 == 7);
		int fd = accept(listener, NULL, NULL);
		CHECK(fd >= 0 && is_pair(one, fd));
		close(fd);
		gone(one);
	}
}

static void close_by(int how, int keep)
{
	for (int fd = 3; fd < 65536 && how == 0; fd++)
		if (fd > keep)
			close(fd);
	if (how == 1)
		closefrom(keep + 1);
	if (how == 2)
		syscall(SYS_close_range, keep + 1, ~0u, 0);
	for (int fd = keep + 1; fd < 65536 && how == 3; fd++)
		syscall(SYS_close, fd);
}

void behaviour(void)
{
	for (int how = 0; how < 4; how++) {
		int epfd = epoll_create1(0), listener = tcp_listener(SOCK_NONBLOCK);
		struct epoll_event event = {.events = EPOLLIN, .data.u64 = 7};

		CHECK(!epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event));
		CHECK(epoll_wait(epfd, &event, 1, 10) == 0);
		serves(listener, epfd);
		close_by(how, listener);
		serves(listener, epfd);
		serves(listener, epfd);
		for (double end = now_ms() + 3000; !is_as_it_was(listener) && now_ms() < end;)
			CHECK(epoll_wait(epfd, &event, 1, 50) == 0);
		CHECK(is_as_it_was(listener));
		/* A new one after it, too. */
		int next = tcp_bound(SOCK_NONBLOCK);
		CHECK(!listen(next, 64));
		CHECK(!epoll_ctl(epfd, EPOLL_CTL_DEL, listener, NULL));
		CHECK(!epoll_ctl(epfd, EPOLL_CTL_ADD, next, &event));
		serves(next, epfd);
		if (check_failures())
			fprintf(stderr, "closed all, way %d\n", how);
		close(listener);
		close(next);
		close(epfd);
	}
}
