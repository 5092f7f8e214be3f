/* What a program that is started gets: its standard descriptors, what was left open for it, and of
 * the shim's own nothing, unless it can make use of them. */
#include "tests/behaviour/behaviour.h"
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

void started(int argc, char **argv);

/* How many descriptors there are, seen by raw calls, that stay open when another program is
 * started; and in all. */
static void look(int *stay, int *all)
{
	*stay = *all = 0;
	for (int fd = 3; fd < 65536; fd++) {
		long flags = syscall(SYS_fcntl, fd, F_GETFD);
		*all += flags >= 0;
		*stay += flags >= 0 && !(flags & FD_CLOEXEC);
	}
}

/* In the program that was started. */
void started(int argc, char **argv)
{
	int stay, all;

	if (argc < 2 || strcmp(argv[1], "count"))
		return;
	look(&stay, &all);
	_exit((stay < 7 ? stay : 7) * 32 + (all < 31 ? all : 31));
}

enum how { EXEC, EXEC_BARE, EXEC_STRANGE, SPAWN, SPAWN_BARE };

/* Exit status of this program started again: what stays there, and all. */
static void counts(enum how how, int *stay, int *all)
{
	static char self[] = "/proc/self/exe", word[] = "count";
	/* Left over from somebody else: numbers that are the application's by now. */
	static char strange[] = "RSSSHIM_INHERIT=0:1:3";
	static char *const argv[] = {self, word, NULL}, *const bare[] = {NULL};
	char *more[64] = {strange};
	int status;
	pid_t pid;

	for (int i = 0; environ[i] && i < 62; i++)
		more[i + 1] = environ[i];
	if (how == SPAWN || how == SPAWN_BARE) {
		NEED(!posix_spawn(&pid, self, NULL, NULL, argv, how == SPAWN ? environ : bare));
	} else {
		pid = fork();
		NEED(pid >= 0);
		if (!pid)
			execve(self, argv, how == EXEC ? environ : how == EXEC_BARE ? bare : more);
	}
	status = exit_of(pid);
	*stay = status / 32;
	*all = status % 32;
}

static int had; /* from whoever started us */

static void gets(enum how how, int listener, bool stays)
{
	int stay, all;
	bool told = (how == EXEC || how == EXEC_STRANGE) && is_steered() && stays;

	CHECK(fcntl(listener, F_SETFD, stays ? 0 : FD_CLOEXEC) == 0);
	counts(how, &stay, &all);
	CHECK(stay == had + (stays ? 1 : 0));
	/* Its members, two and the ledger at least, where it can take them. */
	if (told)
		CHECK(all >= stay + 3);
	else
		CHECK(all == stay);
	if (check_failures())
		fprintf(stderr, "way %d: of %d descriptors %d stay\n", how, all, stay);
}

void behaviour(void)
{
	int all;

	if (strcmp(program_invocation_short_name, "descriptors"))
		skip("only as a program, which starts itself");
	look(&had, &all);
	int listener = tcp_listener(SOCK_NONBLOCK), epfd = epoll_create1(EPOLL_CLOEXEC);
	struct pollfd fd = {.fd = listener, .events = POLLIN};
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 7};

	/* All that the shim may open for a server. */
	CHECK(!epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event));
	CHECK(epoll_wait(epfd, &event, 1, 10) == 0);
	CHECK(poll(&fd, 1, 10) == 0);
	int one = connected(CPU1, port_of(listener));
	CHECK(is_readable(listener, 2000));
	for (enum how how = EXEC; how <= SPAWN_BARE; how++) {
		gets(how, listener, false);
		gets(how, listener, true);
	}
	/* And the server has all it had. */
	CHECK(epoll_wait(epfd, &event, 1, 2000) == 1 && event.data.u64 == 7);
	int accepted = accept(listener, NULL, NULL);
	CHECK(accepted >= 0 && is_pair(one, accepted));
	gone(one);
}
