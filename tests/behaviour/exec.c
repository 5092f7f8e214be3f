/* The exec family: every function starts what it is told to, with the arguments and the environment
 * it is told; a failing one changes nothing. Only who starts himself anew and leaves a listener
 * open is given back what he was preloaded by; and where that cannot be had any more, the listener
 * works as without. */
#include "tests/behaviour/behaviour.h"
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/mount.h>

void started(int argc, char **argv);

static char self[PATH_MAX], shown[] = "shown", word[] = "env", variable[] = "TEST=1";
static char *const argv_env[] = {shown, word, NULL};
static char *const none[] = {NULL}, *const one[] = {variable, NULL};

static void serves(int listener)
{
	for (int served = 0; served < WAYS; served++) {
		if (!is_readable(listener, 5000))
			_exit(3);
		int fd = accept(listener, NULL, NULL);
		if (fd < 0 || write(fd, "x", 1) != 1)
			_exit(4);
		close(fd);
	}
	_exit(0);
}

/* In the program that was started. Bits of the status: variables, TEST, LD_PRELOAD. */
void started(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[0], shown) && !strcmp(argv[1], word))
		_exit((environ[0] ? 1 : 0) | (getenv("TEST") ? 2 : 0) |
		      (getenv("LD_PRELOAD") ? 4 : 0) | (getenv("RSSSHIM_INHERIT") ? 8 : 0));
	if (argc == 3 && !strcmp(argv[1], "serve"))
		serves(atoi(argv[2]));
	_exit(77);
}

enum how { EXECVE, EXECV, EXECVP, EXECVPE, EXECL, EXECLP, EXECLE, HOWS };

static void start(enum how how, char *const *envp)
{
	environ = (char **)envp;
	switch (how) {
	case EXECVE:
		execve(self, argv_env, envp);
		break;
	case EXECV:
		execv(self, argv_env);
		break;
	case EXECVP:
		execvp(self, argv_env);
		break;
	case EXECVPE:
		execvpe(self, argv_env, envp);
		break;
	case EXECL:
		execl(self, shown, word, NULL);
		break;
	case EXECLP:
		execlp(self, shown, word, NULL);
		break;
	default:
		execle(self, shown, word, NULL, envp);
	}
	_exit(99);
}

static int status_by(enum how how, char *const *envp)
{
	pid_t pid = fork();

	NEED(pid >= 0);
	if (!pid)
		start(how, envp);
	return exit_of(pid);
}

static void environments(int listener)
{
	int mended = is_steered() ? 1 | 4 : 0;

	for (enum how how = EXECVE; how < HOWS; how++) {
		CHECK(!fcntl(listener, F_SETFD, FD_CLOEXEC));
		CHECK(status_by(how, none) == 0);
		CHECK(status_by(how, one) == (1 | 2));
		CHECK(!fcntl(listener, F_SETFD, 0));
		CHECK(status_by(how, none) == mended);
		CHECK(status_by(how, one) == (1 | 2 | mended));
	}
	CHECK(status_by(EXECVE, NULL) == mended);
}

/* Found over PATH, or not. */
static void by_path(void)
{
	char *const argv[] = {shown, NULL};
	pid_t pid = fork();

	NEED(pid >= 0);
	if (!pid) {
		setenv("PATH", "/nowhere:/bin", 1);
		execlp("true", shown, NULL);
		_exit(99);
	}
	CHECK(exit_of(pid) == 0);
	CHECK_FAILS(execvp("no such program", argv), ENOENT);
	CHECK_FAILS(execlp("no such program", shown, NULL), ENOENT);
}

static void failures(int listener)
{
	char *const argv[] = {shown, NULL};
	struct pollfd fd = {.fd = listener, .events = POLLIN};

	CHECK_FAILS(execve("/no such program", argv, environ), ENOENT);
	CHECK_FAILS(execve("/", argv, environ), EACCES);
	CHECK_FAILS(execve("/dev/null", argv, environ), EACCES);
	CHECK_FAILS(execve("", argv, environ), ENOENT);
	CHECK_FAILS(execve(NULL, argv, environ), EFAULT);
	CHECK_FAILS(execl("/no such program", shown, NULL), ENOENT);
	CHECK_FAILS(execle("/no such program", shown, NULL, environ), ENOENT);
	CHECK(is_as_it_was(listener));
	for (enum way way = LOOPBACK; way < WAYS; way++) {
		int other = connected(way, port_of(listener));
		CHECK(poll(&fd, 1, 2000) == 1);
		int accepted = accept(listener, NULL, NULL);
		CHECK(accepted >= 0 && is_pair(other, accepted));
		close(accepted);
		gone(other);
	}
}

/* Another file stands where the library was loaded from. */
static void hide_library(void)
{
	const char *preload = getenv("LD_PRELOAD");
	char path[PATH_MAX];

	if (!preload)
		return;
	snprintf(path, sizeof(path), "%.*s", (int)strcspn(preload, ": "), preload);
	NEED(!unshare(CLONE_NEWNS) && !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	NEED(!mount("/dev/null", path, NULL, MS_BIND, NULL));
}

static void without_library(int listener)
{
	struct epoll_event event = {.events = EPOLLIN};
	char number[12], serve[] = "serve";
	char *const argv[] = {shown, serve, number, NULL};
	int port = port_of(listener);
	pid_t pid = fork();

	NEED(pid >= 0);
	if (!pid) {
		int epfd = epoll_create1(EPOLL_CLOEXEC);
		CHECK(!epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event));
		CHECK(epoll_wait(epfd, &event, 1, 10) == 0);
		hide_library();
		snprintf(number, sizeof(number), "%d", listener);
		execve(self, argv, environ);
		_exit(99);
	}
	close(listener);
	sleep_ms(300);
	for (enum way way = LOOPBACK; way < WAYS; way++) {
		int other = connected(way, port);
		struct timeval patience = {.tv_sec = 5};
		char byte;
		setsockopt(other, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		CHECK(read(other, &byte, 1) == 1);
		gone(other);
	}
	CHECK(exit_of(pid) == 0);
}

void behaviour(void)
{
	if (strcmp(program_invocation_short_name, "exec"))
		skip("only as a program, which starts itself");
	NEED(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	int listener = tcp_listener(SOCK_NONBLOCK);

	environments(listener);
	by_path();
	failures(listener);
	without_library(listener);
}
