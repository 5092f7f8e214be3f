/* A number that was closed unseen, by a raw system call, and is used for something else. */
#include "tests/behaviour/behaviour.h"
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* Whatever the shim remembers of the number: it is a pipe now. */
static void is_pipe(int fd, int other_end)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 99};
	int epfd = epoll_create1(0);
	char byte;

	CHECK(!epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event));
	CHECK(epoll_wait(epfd, &event, 1, 300) == 0);
	CHECK(!is_readable(fd, 20));
	CHECK_FAILS(accept(fd, NULL, NULL), ENOTSOCK);
	CHECK(write(other_end, "x", 1) == 1);
	CHECK(epoll_wait(epfd, &event, 1, 1000) == 1 && event.data.u64 == 99);
	CHECK(is_readable(fd, 1000) && read(fd, &byte, 1) == 1);
	CHECK(!close(fd));
	CHECK_FAILS(read(fd, &byte, 1), EBADF);
	close(epfd);
	close(other_end);
}

static void of_listener(void)
{
	int listener = tcp_listener(0), port = port_of(listener), ends[2];

	syscall(SYS_close, listener);
	/* As soon as a server can notice: within a second nobody gets in. */
	NEED(!pipe(ends));
	CHECK(ends[0] == listener);
	is_pipe(ends[0], ends[1]);
	CHECK(is_refused(LOOPBACK, port));
	CHECK(is_refused(CPU0, port) && is_refused(CPU1, port));

	/* And by another listener. */
	listener = tcp_listener(SOCK_NONBLOCK);
	syscall(SYS_close, listener);
	CHECK(tcp_listener(SOCK_NONBLOCK) == listener);
	for (enum way way = LOOPBACK; way < WAYS; way++) {
		int one = connected(way, port_of(listener));
		CHECK(is_readable(listener, 2000));
		int fd = accept(listener, NULL, NULL);
		CHECK(fd >= 0 && is_pair(one, fd));
		close(fd);
		gone(one);
	}
	close(listener);
}

static void of_epoll(void)
{
	int listener = tcp_listener(SOCK_NONBLOCK), epfd = epoll_create1(0);
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 1};

	CHECK(!epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event));
	CHECK(epoll_wait(epfd, &event, 1, 10) == 0);
	syscall(SYS_close, epfd);
	CHECK((int)syscall(SYS_epoll_create1, 0) == epfd);
	CHECK(epoll_wait(epfd, &event, 1, 10) == 0);
	int one = connected(CPU0, port_of(listener));
	CHECK(epoll_wait(epfd, &event, 1, 300) == 0);
	event = (struct epoll_event){.events = EPOLLIN, .data.u64 = 2};
	CHECK(!epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event));
	CHECK(epoll_wait(epfd, &event, 1, 2000) == 1 && event.data.u64 == 2);
	int fd = accept(listener, NULL, NULL);
	CHECK(fd >= 0 && is_pair(one, fd));
	gone(one);
	close(fd);
	close(epfd);
	close(listener);
}

/* The application closes all it does not know, unseen, and later has numbers as high as those. */
static void of_ours(void)
{
	struct rlimit limit;
	int listener = tcp_listener(SOCK_NONBLOCK), port = port_of(listener), null, fd, last = 0;

	syscall(SYS_close_range, listener + 1, ~0u, 0);
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max < 20000 ? limit.rlim_max : 20000;
	CHECK(!setrlimit(RLIMIT_NOFILE, &limit));
	null = open("/dev/null", O_RDWR);
	while ((fd = dup(null)) >= 0)
		last = fd;
	CHECK(last == (int)limit.rlim_cur - 1);
	for (fd = null + 1; fd <= last && check_failures() < 5; fd++)
		CHECK(!close(fd));
	for (enum way way = LOOPBACK; way < WAYS; way++) {
		int one = connected(way, port);
		CHECK(is_readable(listener, 2000));
		CHECK((fd = accept(listener, NULL, NULL)) >= 0 && is_pair(one, fd));
		close(fd);
		gone(one);
	}
}

void behaviour(void)
{
	of_listener();
	of_epoll();
	of_ours();
}
