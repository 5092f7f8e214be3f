/* Pointers that lead nowhere: the kernel says EFAULT, and so it stays where a call is looked at
 * before the kernel sees it. */
#include "tests/behaviour/behaviour.h"
#include <arpa/inet.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/wait.h>

static int listener, epfd, fd;
/* Not for the compiler to know. */
static void *volatile nowhere;

static void do_connect(void)
{
	CHECK_FAILS(connect(fd, nowhere, sizeof(struct sockaddr_in)), EFAULT);
}

static void do_bind(void)
{
	CHECK_FAILS(bind(fd, nowhere, sizeof(struct sockaddr_in)), EFAULT);
}

static void do_epoll_ctl(void)
{
	CHECK_FAILS(epoll_ctl(epfd, EPOLL_CTL_ADD, listener, nowhere), EFAULT);
	CHECK_FAILS(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, nowhere), EFAULT);
}

/* Where connections may move between instances, each is looked at when it is added. */
static void do_epoll_ctl_of_a_connection(void)
{
	struct epoll_event event;
	int one = connected(CPU1, port_of(listener));

	CHECK(is_readable(listener, 2000));
	int accepted = accept(listener, NULL, NULL);
	CHECK(epoll_wait(epfd, &event, 1, 0) == 0);
	CHECK_FAILS(epoll_ctl(epfd, EPOLL_CTL_ADD, accepted, nowhere), EFAULT);
	event = (struct epoll_event){.events = EPOLLIN};
	CHECK(!epoll_ctl(epfd, EPOLL_CTL_ADD, accepted, &event));
	CHECK_FAILS(epoll_ctl(epfd, EPOLL_CTL_MOD, accepted, nowhere), EFAULT);
	CHECK(!epoll_ctl(epfd, EPOLL_CTL_DEL, accepted, nowhere));
	gone(one);
}

static void do_accept(void)
{
	struct sockaddr_in address;
	socklen_t length = sizeof(address);

	for (int i = 0; i < 2; i++) {
		int one = connected(i ? CPU1 : CPU0, port_of(listener));
		CHECK(is_readable(listener, 2000));
		if (i)
			CHECK_FAILS(accept(listener, nowhere, &length), EFAULT);
		else
			CHECK_FAILS(accept(listener, (void *)&address, nowhere), EFAULT);
		gone(one);
	}
}

static void do_setsockopt(void)
{
	CHECK_FAILS(setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, nowhere, sizeof(int)), EFAULT);
	CHECK_FAILS(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, nowhere, sizeof(int)), EFAULT);
}

static void do_getsockopt(void)
{
	socklen_t length = sizeof(int);

	CHECK_FAILS(getsockopt(listener, SOL_SOCKET, SO_REUSEPORT, nowhere, &length), EFAULT);
}

static void do_epoll_wait(void)
{
	struct epoll_event event = {.events = EPOLLIN};
	int one = connected(CPU1, port_of(listener)), own = epoll_create1(0);

	CHECK(!epoll_ctl(own, EPOLL_CTL_ADD, listener, &event));
	CHECK_FAILS(epoll_wait(own, nowhere, 4, 1000), EFAULT);
	gone(one);
}

static void do_poll(void)
{
	CHECK_FAILS(poll(nowhere, 2, 0), EFAULT);
}

static void do_select(void)
{
	fd_set set;

	CHECK_FAILS(select(20, nowhere, NULL, NULL, NULL), EFAULT);
	FD_ZERO(&set);
	FD_SET(listener, &set);
	CHECK_FAILS(select(listener + 1, &set, nowhere, NULL, NULL), EFAULT);
}

static void do_recvmsg(void)
{
	CHECK_FAILS(recvmsg(fd, nowhere, 0), EFAULT);
}

static void do_sendmsg(void)
{
	CHECK_FAILS(sendmsg(fd, nowhere, 0), EFAULT);
}

static void do_getsockname(void)
{
	socklen_t length = sizeof(struct sockaddr_in);

	CHECK_FAILS(getsockname(fd, nowhere, &length), EFAULT);
}

static void do_affinity(void)
{
	CHECK_FAILS(sched_setaffinity(0, sizeof(cpu_set_t), nowhere), EFAULT);
}

static void do_exec(void)
{
	char *const arguments[] = {"true", NULL};

	CHECK_FAILS(execv(nowhere, arguments), EFAULT);
}

static const struct {
	const char *name;
	void (*run)(void);
} calls[] = {
	{"connect", do_connect},
	{"bind", do_bind},
	{"epoll_ctl", do_epoll_ctl},
	{"epoll_ctl of a connection", do_epoll_ctl_of_a_connection},
	{"accept", do_accept},
	{"setsockopt", do_setsockopt},
	{"getsockopt", do_getsockopt},
	{"epoll_wait", do_epoll_wait},
	{"poll", do_poll},
	{"select", do_select},
	{"recvmsg", do_recvmsg},
	{"sendmsg", do_sendmsg},
	{"getsockname", do_getsockname},
	{"sched_setaffinity", do_affinity},
	{"execv", do_exec},
};

static void try_all(void)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		pid_t pid = fork();
		NEED(pid >= 0);
		if (!pid) {
			calls[i].run();
			check_finish();
		}
		int status = exit_of(pid);
		if (status)
			fprintf(stderr, "%s of %p ended with %d\n", calls[i].name, nowhere, status);
		NEED(status == 0);
	}
}

void behaviour(void)
{
	listener = tcp_listener(SOCK_NONBLOCK);
	epfd = epoll_create1(0);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	nowhere = (void *)8;
	try_all();
	nowhere = (void *)-16;
	try_all();
}
