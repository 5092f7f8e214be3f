/* EPOLLONESHOT: one event until it is armed again, whichever way connections come. */
#include "tests/behaviour/behaviour.h"
#include <sys/epoll.h>

static int listener, epfd, port;

static void add(uint32_t events, uint64_t data)
{
	struct epoll_event event = {.events = events, .data.u64 = data};

	CHECK(!epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event));
}

static void modify(uint32_t events, uint64_t data)
{
	struct epoll_event event = {.events = events, .data.u64 = data};

	CHECK(!epoll_ctl(epfd, EPOLL_CTL_MOD, listener, &event));
}

/* Waits; 0 if there is no event, else its data. */
static uint64_t event_data(int timeout)
{
	struct epoll_event event[2] = {0};
	int count = epoll_wait(epfd, event, 2, timeout);

	CHECK(count == 0 || (count == 1 && event[0].events == EPOLLIN));
	return count > 0 ? event[0].data.u64 : 0;
}

static void fresh(uint32_t events)
{
	close(epfd);
	epfd = epoll_create1(0);
	add(events, 5);
	CHECK(event_data(0) == 0);
	CHECK(event_data(10) == 0);
}

static void once(enum way way, enum way other)
{
	fresh(EPOLLIN | EPOLLONESHOT);
	int one = connected(way, port);
	CHECK(event_data(2000) == 5);
	CHECK(event_data(50) == 0);
	/* Whichever way the next one comes. */
	int two = connected(other, port);
	CHECK(event_data(300) == 0);
	modify(EPOLLIN | EPOLLONESHOT, 6);
	CHECK(event_data(1000) == 6);
	CHECK(event_data(300) == 0);
	for (int i = 0; i < 2; i++) {
		int fd = accept(listener, NULL, NULL);
		CHECK(fd >= 0 && (is_pair(one, fd) || is_pair(two, fd)));
		close(fd);
	}
	CHECK_FAILS(accept(listener, NULL, NULL), EAGAIN);
	modify(EPOLLIN | EPOLLONESHOT, 7);
	CHECK(event_data(50) == 0);
	gone(two);
	two = connected(way, port);
	CHECK(event_data(2000) == 7);
	CHECK(event_data(50) == 0);
	int last = accept(listener, NULL, NULL);
	CHECK(last >= 0 && is_pair(two, last));
	close(last);
	gone(two);
	modify(EPOLLIN, 8);
	CHECK(event_data(20) == 0);
	gone(one);
}

void behaviour(void)
{
	listener = tcp_listener(SOCK_NONBLOCK);
	epfd = epoll_create(1);
	port = port_of(listener);
	for (enum way way = LOOPBACK; way < WAYS; way++)
		for (enum way other = LOOPBACK; other < WAYS; other++)
			once(way, other);
}
