/* Children by every way, of which each serves on the listener it inherits: fork(), _Fork(), a raw
 * clone(), a thread's fork, daemon(). */
#include "tests/behaviour/behaviour.h"
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static int listener, port;

static void serve(void)
{
	int epfd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 7};

	alarm(15);
	if (epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event))
		_exit(2);
	for (int served = 0; served < WAYS; served++) {
		int fd = -1;
		while (fd < 0) {
			if (epoll_wait(epfd, &event, 1, 5000) != 1 || event.data.u64 != 7)
				_exit(3);
			fd = accept(listener, NULL, NULL);
		}
		if (write(fd, "x", 1) != 1)
			_exit(4);
		close(fd);
	}
	_exit(0);
}

static pid_t raw_clone(void)
{
	return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static void is_served(void)
{
	for (enum way way = LOOPBACK; way < WAYS; way++) {
		int one = connected(way, port);
		struct timeval patience = {.tv_sec = 5};
		char byte;
		syscall(SYS_setsockopt, one, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		CHECK(recv(one, &byte, 1, 0) == 1);
		gone(one);
	}
}

static void child_by(pid_t (*make)(void))
{
	pid_t pid = make();

	NEED(pid >= 0);
	if (!pid)
		serve();
	is_served();
	CHECK(exit_of(pid) == 0);
}

static void *by_thread(void *unused)
{
	child_by(fork);
	return unused;
}

/* Ends where daemon() has it end, its own child goes on serving. */
static void by_daemon(void)
{
	pid_t pid = fork();

	NEED(pid >= 0);
	if (!pid) {
		if (daemon(1, 1))
			_exit(5);
		serve();
	}
	CHECK(exit_of(pid) == 0);
	is_served();
}

/* A child that shares its parent's descriptors, but not its memory. */
static void sharing_descriptors(void)
{
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD | CLONE_FILES, 0, 0, 0, 0);

	NEED(pid >= 0);
	if (!pid)
		serve();
	is_served();
	CHECK(exit_of(pid) == 0);
}

void behaviour(void)
{
	pthread_t thread;

	listener = tcp_listener(SOCK_NONBLOCK);
	port = port_of(listener);
	child_by(fork);
	child_by(_Fork);
	child_by(raw_clone);
	sharing_descriptors();
	NEED(!pthread_create(&thread, NULL, by_thread, NULL));
	pthread_join(thread, NULL);
	by_daemon();
	/* And the parent, with what they left. */
	for (enum way way = LOOPBACK; way < WAYS; way++) {
		int one = connected(way, port);
		CHECK(is_readable(listener, 3000));
		int fd = accept(listener, NULL, NULL);
		CHECK(fd >= 0 && is_pair(one, fd));
		close(fd);
		gone(one);
	}
}
