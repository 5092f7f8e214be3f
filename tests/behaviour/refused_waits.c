/* A filter of system calls knows only the application's own way to wait: that goes on working,
 * however long it takes, whenever the filter came. */
#include "tests/behaviour/behaviour.h"
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>

enum wait { EPOLL, POLL, SELECT, ACCEPT, WAITS };

static int listener, epfd;

/* What epoll_wait() and its kin return, for a listener alone. */
static int wait_by(enum wait wait, int timeout_ms)
{
	struct pollfd fd = {.fd = listener, .events = POLLIN};
	struct timeval left = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
	struct epoll_event event;
	fd_set in;

	switch (wait) {
	case EPOLL:
		return epoll_wait(epfd, &event, 1, timeout_ms);
	case POLL:
		return poll(&fd, 1, timeout_ms);
	default:
		FD_ZERO(&in);
		FD_SET(listener, &in);
		return select(listener + 1, &in, NULL, NULL, timeout_ms < 0 ? NULL : &left);
	}
}

static void take(enum wait wait, int timeout_ms)
{
	int fd = wait == ACCEPT || CHECK(wait_by(wait, timeout_ms) == 1)
			 ? accept(listener, NULL, NULL)
			 : -1;

	CHECK(fd >= 0);
	close(fd);
}

static volatile sig_atomic_t caught;

static void catch (int signal)
{
	caught = signal;
}

/* Longer than the shim would sleep at a time. */
static void waits(enum wait wait)
{
	int port = port_of(listener);

	for (enum way way = LOOPBACK; way < WAYS; way++) {
		pid_t pid = client_later(way, port, 300);
		take(wait, way == CPU0 ? -1 : 5000);
		end_child(pid);
	}
	if (wait == ACCEPT)
		return;
	double start = now_ms();
	CHECK(wait_by(wait, 450) == 0);
	CHECK(now_ms() - start >= 449 && now_ms() - start < 2000);
	on_signal(SIGUSR1, catch, true);
	pid_t pid = signal_later(SIGUSR1, 300);
	CHECK_FAILS(wait_by(wait, 5000), EINTR);
	CHECK(caught == SIGUSR1);
	end_child(pid);
}

static void watch(enum wait wait)
{
	struct epoll_event event = {.events = EPOLLIN};

	listener = tcp_listener(wait == ACCEPT ? 0 : SOCK_NONBLOCK);
	epfd = epoll_create1(0);
	if (wait == EPOLL)
		CHECK(!epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event));
}

static void run(enum wait wait, bool late, const long *calls, int error)
{
	if (late) {
		watch(wait);
		pid_t pid = client_later(CPU0, port_of(listener), 0);
		take(wait, 5000);
		end_child(pid);
	}
	for (int i = 0; i < 3; i++)
		if (calls[i] >= 0)
			refuse(calls[i], error);
	if (!late)
		watch(wait);
	waits(wait);
	check_finish();
}

void behaviour(void)
{
	/* None of them the call that this libc makes of the wait. */
	static const long refused[WAITS][3] = {
		[EPOLL] = {SYS_epoll_pwait, SYS_ppoll, SYS_epoll_pwait2},
		[POLL] = {SYS_epoll_pwait, SYS_ppoll, -1},
		[SELECT] = {SYS_epoll_pwait, SYS_ppoll, -1},
		[ACCEPT] = {SYS_epoll_pwait, SYS_ppoll, -1},
	};
	pid_t child[WAITS * 2];

#ifndef SYS_epoll_wait
	skip("here libc's epoll_wait() is the system call epoll_pwait");
#endif
	for (int i = 0; i < WAITS * 2; i++) {
		child[i] = fork();
		NEED(child[i] >= 0);
		if (!child[i])
			run((enum wait)(i / 2), i % 2, refused[i / 2], i % 2 ? ENOSYS : EPERM);
	}
	for (int i = 0; i < WAITS * 2; i++)
		if (!CHECK(exit_of(child[i]) == 0))
			fprintf(stderr, "of wait %d, filter %s\n", i / 2, i % 2 ? "late" : "first");
}
