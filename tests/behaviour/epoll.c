/* epoll: level and edge, exclusive; MOD and DEL; what is returned and what refused. */
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

static void take(int one)
{
	int fd = accept(listener, NULL, NULL);

	CHECK(fd >= 0 && is_pair(one, fd));
	close(fd);
	gone(one);
}

static void fresh(uint32_t events)
{
	close(epfd);
	epfd = epoll_create1(0);
	add(events, 5);
	CHECK(event_data(0) == 0);
	CHECK(event_data(10) == 0);
}

static void level(enum way way)
{
	fresh(EPOLLIN);
	int one = connected(way, port), two = connected(way, port);
	CHECK(event_data(2000) == 5);
	if (is_steered() && way == CPU0)
		CHECK(waits_at_member(listener)); /* or all of this tests nothing */
	CHECK(event_data(0) == 5);
	take(one);
	/* The client knows of its connection before this side does. */
	CHECK(event_data(2000) == 5);
	modify(EPOLLIN, 6);
	CHECK(event_data(0) == 6);
	take(two);
	CHECK(event_data(0) == 0);
	CHECK_FAILS(accept(listener, NULL, NULL), EAGAIN);
	/* Disarmed, armed again. */
	modify(0, 6);
	CHECK(event_data(0) == 0);
	one = connected(way, port);
	CHECK(event_data(50) == 0);
	modify(EPOLLIN, 8);
	CHECK(event_data(1500) == 8);
	CHECK(event_data(0) == 8);
	CHECK(!epoll_ctl(epfd, EPOLL_CTL_DEL, listener, NULL));
	CHECK(event_data(0) == 0);
	/* Not watched any more, but still there for who asks. */
	take(one);
}

static void edge(enum way way)
{
	fresh(EPOLLIN | EPOLLET);
	int one = connected(way, port);
	CHECK(event_data(2000) == 5);
	CHECK(event_data(50) == 0);
	int two = connected(way, port);
	CHECK(event_data(2000) == 5);
	CHECK(event_data(0) == 0);
	/* Told again when armed again. */
	modify(EPOLLIN | EPOLLET, 5);
	CHECK(event_data(1000) == 5);
	CHECK(event_data(50) == 0);
	CHECK(!epoll_ctl(epfd, EPOLL_CTL_DEL, listener, NULL));
	add(EPOLLIN | EPOLLET, 9);
	CHECK(event_data(1000) == 9);
	CHECK(event_data(50) == 0);
	take(one);
	take(two);
	CHECK_FAILS(accept(listener, NULL, NULL), EAGAIN);
	CHECK(event_data(0) == 0);
	one = connected(way, port);
	CHECK(event_data(2000) == 9);
	take(one);
}

static void exclusive(enum way way)
{
	fresh(EPOLLIN | EPOLLEXCLUSIVE);
	struct epoll_event event = {.events = EPOLLIN};
	CHECK_FAILS(epoll_ctl(epfd, EPOLL_CTL_MOD, listener, &event), EINVAL);
	int one = connected(way, port);
	CHECK(event_data(2000) == 5);
	CHECK(event_data(0) == 5);
	take(one);
	CHECK(event_data(0) == 0);
}

static void errors(void)
{
	struct epoll_event event = {.events = EPOLLIN};
	volatile int negative = -1; /* or the compiler argues */
	int ends[2];

	fresh(EPOLLIN);
	CHECK_FAILS(epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event), EEXIST);
	CHECK_FAILS(epoll_ctl(epfd, EPOLL_CTL_ADD, epfd, &event), EINVAL);
	CHECK_FAILS(epoll_ctl(epfd, EPOLL_CTL_ADD, -1, &event), EBADF);
	CHECK_FAILS(epoll_ctl(-1, EPOLL_CTL_ADD, listener, &event), EBADF);
	CHECK_FAILS(epoll_ctl(listener, EPOLL_CTL_ADD, epfd, &event), EINVAL);
	CHECK_FAILS(epoll_ctl(epfd, 77, listener, &event), EINVAL);
	CHECK_FAILS(epoll_ctl(epfd, EPOLL_CTL_ADD, listener, NULL), EFAULT);
	CHECK_FAILS(epoll_wait(epfd, &event, 0, 0), EINVAL);
	CHECK_FAILS(epoll_wait(epfd, &event, negative, 0), EINVAL);
	CHECK_FAILS(epoll_wait(listener, &event, 1, 0), EINVAL);
	CHECK_FAILS(epoll_wait(-1, &event, 1, 0), EBADF);
	CHECK_FAILS(epoll_create1(0x1000), EINVAL);
	CHECK_FAILS(epoll_create(0), EINVAL);
	CHECK(!epoll_ctl(epfd, EPOLL_CTL_DEL, listener, NULL));
	CHECK_FAILS(epoll_ctl(epfd, EPOLL_CTL_DEL, listener, NULL), ENOENT);
	CHECK_FAILS(epoll_ctl(epfd, EPOLL_CTL_MOD, listener, &event), ENOENT);

	/* One event of a time, with others waiting: each comes in its turn, once it is there. */
	NEED(!pipe(ends));
	add(EPOLLIN, 5);
	event = (struct epoll_event){.events = EPOLLIN, .data.u64 = 6};
	CHECK(!epoll_ctl(epfd, EPOLL_CTL_ADD, ends[0], &event));
	CHECK(write(ends[1], "x", 1) == 1);
	int one = connected(CPU0, port), seen = 0;
	for (int i = 0; i < 1000 && seen != 3; i++) {
		CHECK(epoll_wait(epfd, &event, 1, 1000) == 1);
		seen |= event.data.u64 == 5 ? 1 : event.data.u64 == 6 ? 2 : 4;
		usleep(1000);
	}
	CHECK(seen == 3);
	take(one);
	close(ends[0]);
	close(ends[1]);
}

void behaviour(void)
{
	listener = tcp_listener(SOCK_NONBLOCK);
	epfd = epoll_create(1);
	port = port_of(listener);
	for (enum way way = LOOPBACK; way < WAYS; way++) {
		level(way);
		edge(way);
		exclusive(way);
		if (check_failures())
			fprintf(stderr, "on way %d\n", way);
	}
	errors();
}
