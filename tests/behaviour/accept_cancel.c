/* accept(), poll() and epoll_wait() are cancellation points, while they wait too. */
#include "tests/behaviour/behaviour.h"
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/select.h>

static int listener, epfd;

static void *accepts(void *unused)
{
	accept(listener, NULL, NULL);
	return unused;
}

static void *polls(void *unused)
{
	struct pollfd fd = {.fd = listener, .events = POLLIN};

	poll(&fd, 1, -1);
	return unused;
}

static void *selects(void *unused)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(listener, &set);
	select(listener + 1, &set, NULL, NULL, NULL);
	return unused;
}

static void *waits(void *unused)
{
	struct epoll_event event;

	epoll_wait(epfd, &event, 1, -1);
	return unused;
}

static void cancels(void *(*call)(void *), int after_ms)
{
	struct timespec limit;
	pthread_t thread;
	void *result = NULL;

	NEED(!pthread_create(&thread, NULL, call, NULL));
	sleep_ms(after_ms);
	CHECK(!pthread_cancel(thread));
	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += 3;
	CHECK(!pthread_timedjoin_np(thread, &result, &limit));
	CHECK(result == PTHREAD_CANCELED);
}

void behaviour(void)
{
	struct epoll_event event = {.events = EPOLLIN};

	listener = tcp_listener(0);
	epfd = epoll_create1(0);
	CHECK(!epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event));
	for (int after = 50; after <= 450; after += 400) {
		cancels(polls, after);
		cancels(selects, after);
		cancels(waits, after);
		cancels(accepts, after);
	}
	/* And the process serves on. */
	for (enum way way = LOOPBACK; way < WAYS; way++) {
		int one = connected(way, port_of(listener)), fd = accept(listener, NULL, NULL);
		CHECK(fd >= 0 && is_pair(one, fd));
		close(fd);
		gone(one);
	}
}
