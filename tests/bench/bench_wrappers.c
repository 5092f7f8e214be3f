/* What an intercepted call costs more than the bare one, what the shim adds to a program's start
 * and to its memory, and what a steered accept() costs.
 *
 *	bench_wrappers LIBRARY
 *	bench_wrappers --accepts CLIENT-NETNS ADDRESS
 *
 * Of an intercepted call both ways are measured in one process that the library is loaded into, in
 * turn: through the dynamic linker, which finds the shim first, and straight from libc. Medians of
 * many rounds, and of the difference in each. For a steered accept() it needs a network
 * namespace, and an address of ours that connections from there come to through a NIC that is
 * steered by. */
#include "tests/bench/wrappers/wrappers.h"
#include <stdio.h>
#include <string.h>

static int idle(bool listens)
{
	struct epoll_event event = {.events = EPOLLIN};

	epfd = epoll_create1(0);
	if (listens)
		epoll_ctl(epfd, EPOLL_CTL_ADD, listening_on(STEERED_PORT), &event);
	epoll_wait(epfd, &event, 1, 10);
	if (write(1, "", 1) != 1)
		return 1;
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	char *const true_command[] = {"/bin/true", NULL};
	char *const nginx_command[] = {"nginx", "-t", "-q", NULL};
	char *const idle_command[] = {argv[0], "--idle", NULL};
	char *const listen_command[] = {argv[0], "--listen", NULL};

	look_up_calls();
	if (argc == 2 && strcmp(argv[1], "--calls") == 0)
		return run_calls();
	if (argc == 2 && strcmp(argv[1], "--idle") == 0)
		return idle(false);
	if (argc == 2 && strcmp(argv[1], "--listen") == 0)
		return idle(true);
	if (argc == 4 && strcmp(argv[1], "--accepts") == 0)
		return run_accepts(argv[2], argv[3]);
	if (argc != 2) {
		fprintf(stderr, "usage: bench_wrappers LIBRARY | --accepts NETNS ADDRESS\n");
		return 2;
	}
	setlinebuf(stdout);
	calls_table(argv[0], argv[1]);
	puts("\nms a start                    without  switched off               on   ratio");
	start_row("/bin/true", true_command, argv[1]);
	start_row("nginx -t", nginx_command, argv[1]);
	puts("\nKB a process (PSS)            without  switched off               on   of it "
	     "dirty");
	memory_row("without a TCP socket", idle_command, argv[1]);
	memory_row("with a listener", listen_command, argv[1]);
	return 0;
}
