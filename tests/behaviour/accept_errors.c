/* What accept() reports besides connections reaches the application, whichever way one waits, and
 * the connection is still there afterwards. */
#include "tests/behaviour/behaviour.h"
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* As many as it takes for the next to fail. */
static int use_up(int *from)
{
	int last = -1, fd;

	*from = -1;
	while ((fd = open("/dev/null", O_RDONLY)) >= 0) {
		*from = *from < 0 ? fd : *from;
		last = fd;
	}
	CHECK(errno == EMFILE);
	return last;
}

static void no_descriptor_left(enum way way, bool blocking)
{
	struct rlimit limit, few;
	int listener = tcp_listener(blocking ? 0 : SOCK_NONBLOCK), first, last, fd;

	/* A wait, so that members are watched. */
	CHECK(!is_readable(listener, 10));
	int one = connected(way, port_of(listener));
	CHECK(is_readable(listener, 2000));
	getrlimit(RLIMIT_NOFILE, &limit);
	few = limit;
	few.rlim_cur = 100;
	CHECK(!setrlimit(RLIMIT_NOFILE, &few));
	last = use_up(&first);
	for (int i = 0; i < 3; i++) {
		CHECK_FAILS(accept(listener, NULL, NULL), EMFILE);
		CHECK_FAILS(accept4(listener, NULL, NULL, SOCK_CLOEXEC), EMFILE);
		CHECK(is_readable(listener, 1000));
	}
	close(last);
	fd = accept(listener, NULL, NULL);
	CHECK(fd == last && is_pair(one, fd));
	for (; first >= 0 && first <= last; first++)
		close(first);
	CHECK(!setrlimit(RLIMIT_NOFILE, &limit));
	gone(one);
	close(listener);
}

/* From here on the kernel says of every connection that it was aborted. */
static void abort_all(void)
{
	struct sock_filter filter[] = {
		{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr)},
		{BPF_JMP | BPF_JEQ | BPF_K, 1, 0, SYS_accept},
		{BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_accept4},
		{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | ECONNABORTED},
		{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
	};
	struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};

	CHECK(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	CHECK(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
}

static void aborted(enum way way, bool blocking)
{
	int listener = tcp_listener(blocking ? 0 : SOCK_NONBLOCK);
	pid_t pid = fork();

	if (!pid) {
		int epfd = epoll_create1(0), other;
		struct epoll_event event = {.events = EPOLLIN, .data.u64 = 3};
		CHECK(!epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event));
		CHECK(epoll_wait(epfd, &event, 1, 10) == 0);
		other = connected(way, port_of(listener));
		CHECK(epoll_wait(epfd, &event, 1, 2000) == 1 && event.data.u64 == 3);
		abort_all();
		CHECK_FAILS(accept(listener, NULL, NULL), ECONNABORTED);
		CHECK_FAILS(accept4(listener, NULL, NULL, SOCK_NONBLOCK), ECONNABORTED);
		CHECK(epoll_wait(epfd, &event, 1, 2000) == 1 && event.data.u64 == 3);
		gone(other);
		check_finish();
	}
	CHECK(exit_of(pid) == 0);
	close(listener);
}

void behaviour(void)
{
	for (enum way way = LOOPBACK; way < WAYS; way++) {
		no_descriptor_left(way, false);
		no_descriptor_left(way, true);
		aborted(way, false);
		aborted(way, true);
		if (check_failures())
			fprintf(stderr, "on way %d\n", way);
	}
}
