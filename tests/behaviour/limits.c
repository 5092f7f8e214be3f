/* Few descriptors, a limit that is lowered and raised, the first three closed, a stream closed over
 * a listener. */
#include "tests/behaviour/behaviour.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>

static void set_limit(rlim_t soft)
{
	struct rlimit limit;

	NEED(!getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = soft;
	NEED(!setrlimit(RLIMIT_NOFILE, &limit));
}

static void serves(int listener)
{
	for (enum way way = LOOPBACK; way < WAYS; way++) {
		int one = connected(way, port_of(listener));
		CHECK(is_readable(listener, 3000));
		int fd = accept(listener, NULL, NULL);
		CHECK(fd >= 0 && is_pair(one, fd));
		close(fd);
		gone(one);
	}
}

/* Out of descriptors is told as it is, and nothing is lost by it. */
static void none_left(enum way way)
{
	int listener = tcp_listener(SOCK_NONBLOCK), one = connected(way, port_of(listener));
	int last = -1, fd;

	CHECK(is_readable(listener, 3000));
	set_limit(64);
	while ((fd = dup(0)) >= 0)
		last = fd;
	CHECK(errno == EMFILE && last == 63);
	CHECK_FAILS(accept(listener, NULL, NULL), EMFILE);
	CHECK(is_readable(listener, 1000));
	CHECK_FAILS(socket(AF_INET, SOCK_STREAM, 0), EMFILE);
	close(last);
	CHECK((fd = accept(listener, NULL, NULL)) == last && is_pair(one, fd));
	for (fd = listener + 1; fd < 64; fd++)
		if (fd != one)
			close(fd);
	gone(one);
	set_limit(1024);
	serves(listener);
	CHECK(is_as_it_was(listener));
	close(listener);
}

/* Numbers are given out as without us: the lowest that is free. */
static void lowered(void)
{
	int listener = tcp_listener(SOCK_NONBLOCK);

	set_limit(48);
	serves(listener);
	int next = tcp_bound(SOCK_NONBLOCK);
	CHECK(next == listener + 1);
	CHECK(!listen(next, 16));
	serves(next);
	set_limit(1024);
	serves(next);
	serves(listener);
	CHECK(is_as_it_was(listener));
	close(next);
	close(listener);
}

static void no_standard(void)
{
	pid_t pid = fork();

	NEED(pid >= 0);
	if (!pid) {
		for (int fd = 0; fd < 3; fd++)
			close(fd);
		int listener = tcp_listener(SOCK_NONBLOCK), epfd = epoll_create1(0);
		struct epoll_event event = {.events = EPOLLIN, .data.u64 = 7};
		CHECK(listener == 0 && epfd == 1);
		CHECK(!epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event));
		CHECK(epoll_wait(epfd, &event, 1, 10) == 0);
		CHECK(dup(0) == 2);
		serves(listener);
		check_finish();
	}
	CHECK(exit_of(pid) == 0);
}

/* fclose() closes without the wrapper. */
static void stream(void)
{
	int listener = tcp_listener(SOCK_NONBLOCK), port = port_of(listener);
	FILE *file = fdopen(listener, "r");

	NEED(file);
	CHECK(!fclose(file));
	int again = tcp_listener(SOCK_NONBLOCK);
	CHECK(again == listener);
	serves(again);
	close(again);
	CHECK(is_refused(LOOPBACK, port) && is_refused(CPU0, port) && is_refused(CPU1, port));
}

void behaviour(void)
{
	for (enum way way = LOOPBACK; way < WAYS; way++)
		none_left(way);
	lowered();
	no_standard();
	stream();
}
