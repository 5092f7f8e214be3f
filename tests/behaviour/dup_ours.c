/* The application takes any number it likes, also those that the shim has something under. */
#include "tests/behaviour/behaviour.h"
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/resource.h>

static int listener, epfd;

static void serves(void)
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

void behaviour(void)
{
	struct rlimit limit;
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 7};

	getrlimit(RLIMIT_NOFILE, &limit);
	listener = tcp_listener(SOCK_NONBLOCK);
	epfd = epoll_create1(0);
	CHECK(!epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event));
	CHECK(epoll_wait(epfd, &event, 1, 10) == 0);
	serves();
	/* All numbers are allowed from here on. */
	limit.rlim_cur = limit.rlim_max < 20000 ? limit.rlim_max : 20000;
	CHECK(!setrlimit(RLIMIT_NOFILE, &limit));
	int null = open("/dev/null", O_RDWR), top = (int)limit.rlim_cur;
	serves();
	for (int fd = null + 1; fd < top; fd++) {
		if (!CHECK(dup2(null, fd) == fd))
			break;
		/* What stands there now is the application's, whatever did before. */
		if (fd % 64 == 0 && !CHECK(write(fd, "x", 1) == 1))
			break;
		if (fd > 64 && !CHECK(!close(fd)))
			break;
	}
	serves();
	/* Opened one after another, not chosen. */
	int last = -1, lowest = dup(null);
	for (int fd = lowest; fd >= 0; fd = dup(null))
		last = fd;
	CHECK(errno == EMFILE);
	for (int fd = lowest; fd <= last && check_failures() < 5; fd++)
		CHECK(!close(fd) || (is_steered() && fd > 512));
	serves();
}
