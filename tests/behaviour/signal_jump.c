/* A handler that leaves a wrapper by siglongjmp(): what the call was doing is undone. */
#include "tests/behaviour/behaviour.h"
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>

static sigjmp_buf out;
static int listener, epfd;

static void jump(int signal)
{
	siglongjmp(out, signal);
}

static void accepts(void)
{
	accept(listener, NULL, NULL);
}

static void polls(void)
{
	struct pollfd fd = {.fd = listener, .events = POLLIN};

	poll(&fd, 1, -1);
}

static void selects(void)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(listener, &set);
	select(listener + 1, &set, NULL, NULL, NULL);
}

static void waits(void)
{
	struct epoll_event event;

	epoll_wait(epfd, &event, 1, -1);
}

static void serves(void)
{
	struct epoll_event event = {0};

	for (enum way way = LOOPBACK; way < WAYS; way++) {
		int one = connected(way, port_of(listener));
		CHECK(is_readable(listener, 3000));
		CHECK(epoll_wait(epfd, &event, 1, 3000) == 1 && event.data.u64 == 7);
		int fd = accept(listener, NULL, NULL);
		CHECK(fd >= 0 && is_pair(one, fd));
		close(fd);
		gone(one);
	}
}

static void jumps_out(void (*call)(void), int after_ms)
{
	sigset_t before, now;
	pid_t pid;

	sigprocmask(SIG_SETMASK, NULL, &before);
	pid = signal_later(SIGUSR1, after_ms);
	if (!sigsetjmp(out, 1)) {
		call();
		CHECK(!"came back");
	}
	sigprocmask(SIG_SETMASK, NULL, &now);
	for (int signal = 1; signal < 32; signal++)
		CHECK(sigismember(&before, signal) == sigismember(&now, signal));
	end_child(pid);
	serves();
}

void behaviour(void)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 7};

	listener = tcp_listener(0);
	epfd = epoll_create1(0);
	CHECK(!epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event));
	on_signal(SIGUSR1, jump, false);
	for (int after = 50; after <= 450; after += 400) {
		jumps_out(waits, after);
		jumps_out(polls, after);
		jumps_out(selects, after);
		jumps_out(accepts, after);
	}
}
