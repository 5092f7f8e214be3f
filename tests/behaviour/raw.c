/* Waits of libc's beside raw system calls that no wrapper sees: listen(), epoll_ctl(), accept(). */
#include "tests/behaviour/behaviour.h"
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

static int epfd;

static bool waits(int timeout_ms)
{
	struct epoll_event event = {0};
	int count = epoll_wait(epfd, &event, 1, timeout_ms);

	CHECK(count <= 0 || (event.events == EPOLLIN && event.data.u64 == 7));
	return count == 1;
}

static void serves(int listener)
{
	for (enum way way = LOOPBACK; way < WAYS; way++) {
		int one = connected(way, port_of(listener));
		CHECK(waits(3000));
		int fd = accept(listener, NULL, NULL);
		CHECK(fd >= 0 && is_pair(one, fd));
		close(fd);
		gone(one);
	}
}

static void add(int listener, bool raw)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 7};

	CHECK(!(raw ? syscall(SYS_epoll_ctl, epfd, EPOLL_CTL_ADD, listener, &event)
		    : epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event)));
}

static void watch(int listener, bool raw)
{
	epfd = epoll_create1(EPOLL_CLOEXEC);
	add(listener, raw);
}

static void raw_listen(void)
{
	int fd = tcp_bound(SOCK_NONBLOCK);

	CHECK(!syscall(SYS_listen, fd, 16));
	watch(fd, false);
	serves(fd);
	close(epfd);
	close(fd);
}

static void raw_epoll_ctl(void)
{
	int listener = tcp_listener(SOCK_NONBLOCK);

	watch(listener, true);
	serves(listener);
	/* The one that is known is taken out behind our back, and put in again. */
	close(epfd);
	watch(listener, false);
	serves(listener);
	CHECK(!syscall(SYS_epoll_ctl, epfd, EPOLL_CTL_DEL, listener, NULL));
	add(listener, true);
	serves(listener);
	close(epfd);
	close(listener);
}

/* Accepted raw, within a second. */
static bool is_served(int listener, enum way way)
{
	int one = connected(way, port_of(listener)), fd = -1;

	for (double end = now_ms() + 1000; fd < 0 && now_ms() < end; usleep(20000))
		if (waits(1000))
			fd = (int)syscall(SYS_accept4, listener, NULL, NULL, 0);
	bool right = fd >= 0 && is_pair(one, fd);
	if (fd >= 0)
		close(fd);
	gone(one);
	return right;
}

/* What waits at a member is out of reach, so nothing may go there any more before long. */
static void raw_accept(void)
{
	int listener = tcp_listener(SOCK_NONBLOCK), in_a_row = 0;

	watch(listener, false);
	CHECK(!waits(10));
	for (double end = now_ms() + 12000; in_a_row < 9 && now_ms() < end;)
		in_a_row = is_served(listener, (enum way)(in_a_row % WAYS)) ? in_a_row + 1 : 0;
	CHECK(in_a_row == 9);
	close(epfd);
	close(listener);
}

void behaviour(void)
{
	raw_listen();
	raw_epoll_ctl();
	raw_accept();
}
