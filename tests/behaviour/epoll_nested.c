/* An epoll instance inside another, in poll() and in select(); one under two numbers. */
#include "tests/behaviour/behaviour.h"
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>

static int listener, inner, outer;

static void take(int one)
{
	struct epoll_event event = {0};

	CHECK(epoll_wait(inner, &event, 1, 0) == 1 && event.data.u64 == 7);
	int fd = accept(listener, NULL, NULL);
	CHECK(fd >= 0 && is_pair(one, fd));
	close(fd);
	gone(one);
	CHECK(epoll_wait(inner, &event, 1, 0) == 0);
}

static void nested(void)
{
	for (int i = 0; i < 9; i++) {
		struct epoll_event event = {0};
		fd_set set;
		int one = connected((enum way)(i % WAYS), port_of(listener));
		CHECK(epoll_wait(outer, &event, 1, 2000) == 1 && event.data.u64 == 1);
		CHECK(is_readable(inner, 0) && is_readable(outer, 0));
		FD_ZERO(&set);
		FD_SET(outer, &set);
		CHECK(select(outer + 1, &set, NULL, NULL, NULL) == 1 && FD_ISSET(outer, &set));
		take(one);
		CHECK(epoll_wait(outer, &event, 1, 0) == 0);
		CHECK(!is_readable(inner, 0));
	}
}

/* Registered by one number, waited on by another. */
static void two_numbers(void)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 7};
	int one = epoll_create1(EPOLL_CLOEXEC), copies[3];

	CHECK(!epoll_ctl(one, EPOLL_CTL_ADD, listener, &event));
	CHECK(epoll_wait(one, &event, 1, 10) == 0);
	copies[0] = dup(one);
	copies[1] = fcntl(one, F_DUPFD, 50);
	copies[2] = dup2(one, 60);
	for (int i = 0; i < 9; i++) {
		int peer = connected((enum way)(i % WAYS), port_of(listener));
		int waiting = copies[i % 3];
		CHECK(epoll_wait(waiting, &event, 1, 2000) == 1 && event.data.u64 == 7);
		CHECK(epoll_wait(one, &event, 1, 0) == 1 && event.data.u64 == 7);
		int fd = accept(listener, NULL, NULL);
		CHECK(fd >= 0 && is_pair(peer, fd));
		close(fd);
		gone(peer);
	}
	/* The first number goes, the others stay. */
	CHECK(!close(one));
	for (int i = 0; i < 3; i++) {
		int peer = connected((enum way)i, port_of(listener));
		CHECK(epoll_wait(copies[1], &event, 1, 2000) == 1 && event.data.u64 == 7);
		int fd = accept(listener, NULL, NULL);
		CHECK(fd >= 0 && is_pair(peer, fd));
		close(fd);
		gone(peer);
	}
	/* Removed through one that had never been registered through. */
	CHECK(!epoll_ctl(copies[2], EPOLL_CTL_DEL, listener, NULL));
	int peer = connected(CPU0, port_of(listener));
	CHECK(epoll_wait(copies[0], &event, 1, 300) == 0);
	int fd = accept(listener, NULL, NULL);
	CHECK(fd >= 0);
	close(fd);
	gone(peer);
}

/* Copies made before there was a listener, and behind everybody's back; waited on by each. */
static void copied_early(void)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 7};
	int one = epoll_create1(0), copies[4];

	copies[0] = dup(one);
	copies[1] = fcntl(copies[0], F_DUPFD_CLOEXEC, 50);
	copies[2] = dup2(one, 61);
	copies[3] = (int)syscall(SYS_dup, one);
	CHECK(!epoll_ctl(copies[1], EPOLL_CTL_ADD, listener, &event));
	/* By the one that adds nothing, nor is known: members stand beside the listener now. */
	CHECK(epoll_wait(copies[0], &event, 1, 10) == 0);
	for (int i = 0; i < 12; i++) {
		int peer = connected((enum way)(i % WAYS), port_of(listener));
		for (int j = 0; j < 4; j++) {
			CHECK(epoll_wait(copies[(i + j) % 4], &event, 1, 2000) == 1);
			CHECK(event.data.u64 == 7 && event.events == EPOLLIN);
		}
		int fd = accept(listener, NULL, NULL);
		CHECK(fd >= 0 && is_pair(peer, fd));
		close(fd);
		gone(peer);
	}
	CHECK(!close(one) && !close(copies[1]) && !close(copies[2]) && !close(copies[0]));
	int peer = connected(CPU0, port_of(listener));
	CHECK(epoll_wait(copies[3], &event, 1, 2000) == 1 && event.data.u64 == 7);
	int fd = accept(listener, NULL, NULL);
	CHECK(fd >= 0 && is_pair(peer, fd));
	close(fd);
	gone(peer);
	CHECK(!close(copies[3]));
}

void behaviour(void)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 7};

	listener = tcp_listener(SOCK_NONBLOCK);
	inner = epoll_create1(0);
	outer = epoll_create1(0);
	CHECK(!epoll_ctl(inner, EPOLL_CTL_ADD, listener, &event));
	event.data.u64 = 1;
	CHECK(!epoll_ctl(outer, EPOLL_CTL_ADD, inner, &event));
	nested();
	close(inner);
	close(outer);
	two_numbers();
	copied_early();
}
