/* A child of vfork() that closes and overwrites what it likes changes nothing for its parent. */
#include "tests/behaviour/behaviour.h"
#include <fcntl.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/wait.h>

extern char **environ;

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

static void child(int how)
{
	static char *const arguments[] = {"true", NULL};

	switch (how) {
	case 0:
		close(listener);
		close(epfd);
		break;
	case 1:
		close_range(3, ~0u, 0);
		break;
	case 2:
		dup2(0, listener);
		dup2(listener, epfd);
		break;
	case 3:
		for (int fd = 3; fd < 5000; fd++)
			close(fd);
		break;
	case 4:
		for (int fd = 900; fd < 1200; fd++)
			dup2(0, fd);
		break;
	case 5:
		shutdown(0, SHUT_RD);
		fcntl(listener, F_DUPFD, 3);
		close(dup(listener));
		break;
	}
	execv("/bin/true", arguments);
	_exit(9);
}

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

void behaviour(void)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 7};

	listener = tcp_listener(SOCK_NONBLOCK);
	epfd = epoll_create1(0);
	CHECK(!epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event));
	CHECK(epoll_wait(epfd, &event, 1, 10) == 0);
	serves();
	for (int how = 0; how < 6; how++) {
		pid_t pid = vfork();
		if (!pid)
			child(how);
		CHECK(exit_of(pid) == 0);
		serves();
		if (check_failures()) {
			fprintf(stderr, "after way %d\n", how);
			break;
		}
	}
	posix_spawn_file_actions_t actions;
	char *const arguments[] = {"true", NULL};
	pid_t pid;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addclose(&actions, listener);
	posix_spawn_file_actions_adddup2(&actions, 0, epfd);
	CHECK(!posix_spawn(&pid, "/bin/true", &actions, NULL, arguments, environ));
	CHECK(exit_of(pid) == 0);
	serves();
	/* The listener can be closed as ever after all that. */
	int port = port_of(listener);
	CHECK(!close(listener));
	CHECK(is_refused(LOOPBACK, port) && is_refused(CPU0, port));
}
