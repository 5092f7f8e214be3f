/* Processes that block in accept() on one socket, one killed now and then. */
#include "tests/behaviour/behaviour.h"
#include <signal.h>
#include <sys/prctl.h>

static pid_t worker(int listener, int cpu)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pin(cpu);
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		if (fd >= 0 && write(fd, "x", 1) < 0)
			_exit(1);
		close(fd);
	}
}

static void serves(int listener)
{
	for (int i = 0; i < 12; i++) {
		int one = connected((enum way)(i % WAYS), port_of(listener));
		CHECK(is_readable(one, 3000));
		gone(one);
	}
}

void behaviour(void)
{
	int listener = tcp_listener(0);
	pid_t pid[4];

	for (int i = 0; i < 4; i++)
		pid[i] = worker(listener, i % 2);
	sleep_ms(200);
	for (int i = 0; i < 4; i++) {
		serves(listener);
		end_child(pid[i]);
		pid[i] = worker(listener, i % 2);
	}
	serves(listener);
	/* All of one CPU's: the others serve for it, within a second. */
	end_child(pid[0]);
	end_child(pid[2]);
	sleep_ms(1000);
	serves(listener);
	end_child(pid[1]);
	end_child(pid[3]);
	/* And the parent, which never accepted before. */
	for (enum way way = LOOPBACK; way < WAYS; way++) {
		int one = connected(way, port_of(listener)), fd = accept(listener, NULL, NULL);
		CHECK(fd >= 0 && is_pair(one, fd));
		gone(one);
		close(fd);
	}
}
