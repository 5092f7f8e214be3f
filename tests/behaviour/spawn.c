/* Programs started by libc itself: posix_spawn(), posix_spawnp(), system(), popen(). */
#include "tests/behaviour/behaviour.h"
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

static void spawns(void)
{
	char name[] = "sh", option[] = "-c", script[] = "exit $((WORD + 40))",
	     variable[] = "WORD=2";
	char *const argv[] = {name, option, script, NULL}, *const envp[] = {variable, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	pid_t pid = -1;

	errno = 77;
	CHECK(posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, envp) == 0 && pid > 0);
	CHECK(exit_of(pid) == 42);
	CHECK(posix_spawnp(&pid, "sh", NULL, NULL, argv, envp) == 0);
	CHECK(exit_of(pid) == 42);
	CHECK(posix_spawnp(NULL, "sh", NULL, NULL, argv, envp) == 0);
	CHECK(waitpid(-1, NULL, 0) > 0);
	CHECK(posix_spawn(&pid, "sh", NULL, NULL, argv, envp) == ENOENT);
	CHECK(posix_spawnp(&pid, "no such program", NULL, NULL, argv, envp) == ENOENT);
	CHECK(posix_spawn(&pid, "/", NULL, NULL, argv, envp) == EACCES);
	/* What the actions and attributes say is done. */
	NEED(!posix_spawn_file_actions_init(&actions) && !posix_spawnattr_init(&attributes));
	posix_spawn_file_actions_addclose(&actions, 9999);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
	CHECK(posix_spawnp(&pid, "sh", &actions, &attributes, argv, envp) == 0);
	CHECK(getpgid(pid) == pid || errno == ESRCH);
	CHECK(exit_of(pid) == 42);
	posix_spawn_file_actions_addopen(&actions, 0, "/no such file", 0, 0);
	CHECK(posix_spawn(&pid, "/bin/sh", &actions, NULL, argv, envp) == ENOENT);
}

static void shells(void)
{
	char line[64] = "";

	CHECK(system(NULL) != 0);
	int status = system("exit 7");
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	status = system("kill -KILL $$");
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	FILE *file = popen("echo hello", "r");
	NEED(file);
	CHECK(fgets(line, sizeof(line), file) && !strcmp(line, "hello\n"));
	CHECK(pclose(file) == 0);
	file = popen("read word; test \"$word\" = there", "we");
	NEED(file);
	CHECK(fputs("there\n", file) >= 0 && pclose(file) == 0);
	errno = 0;
	CHECK(!popen("true", "x") && errno == EINVAL);
}

static int cpus(void)
{
	cpu_set_t mask;

	return sched_getaffinity(0, sizeof(mask), &mask) ? -1 : CPU_COUNT(&mask);
}

void behaviour(void)
{
	int listener = tcp_listener(SOCK_NONBLOCK), before = cpus();

	spawns();
	shells();
	/* What is started is as pinned as who starts it, who is so still. */
	CHECK(cpus() == before);
	int status = system("test $(nproc) = 1");
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	CHECK(is_as_it_was(listener));
	for (enum way way = LOOPBACK; way < WAYS; way++) {
		int one = connected(way, port_of(listener));
		CHECK(is_readable(listener, 2000));
		int fd = accept(listener, NULL, NULL);
		CHECK(fd >= 0 && is_pair(one, fd));
		close(fd);
		gone(one);
	}
}
