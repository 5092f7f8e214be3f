/* Rows of calls that wait for descriptors, or copy and close them. */
#include "tests/bench/wrappers/wrappers.h"

static void wait_once(const struct calls *by)
{
	struct epoll_event event;

	by->epoll_wait(epfd, &event, 1, 0);
}

static void modify(const struct calls *by)
{
	struct epoll_event event = {.events = EPOLLIN};

	by->epoll_ctl(epfd, EPOLL_CTL_MOD, event_fd, &event);
}

static void add_and_delete(const struct calls *by)
{
	struct epoll_event event = {.events = EPOLLIN};

	by->epoll_ctl(epfd, EPOLL_CTL_DEL, event_fd, &event);
	by->epoll_ctl(epfd, EPOLL_CTL_ADD, event_fd, &event);
}

static void poll_two(const struct calls *by)
{
	struct pollfd fds[] = {{.fd = event_fd, .events = POLLIN},
			       {.fd = tcp_socket, .events = POLLIN}};

	by->poll(fds, 2, 0);
}

static void select_two(const struct calls *by)
{
	struct timeval none = {0};
	fd_set in;

	FD_ZERO(&in);
	FD_SET(event_fd, &in);
	FD_SET(unix_listener, &in);
	by->select(unix_listener + 1, &in, NULL, NULL, &none);
}

static void close_copy(const struct calls *by)
{
	by->close(calls[0].dup(event_fd));
}

static void copy(const struct calls *by)
{
	calls[1].close(by->dup(event_fd)); /* the shim is to know that it is gone */
}

static void copy_over(const struct calls *by)
{
	by->dup2(event_fd, 50);
}

static void copy_over_socket(const struct calls *by)
{
	by->dup2(tcp_socket, 51);
}

static const struct row rows[] = {
	{"epoll_wait", wait_once, NULL, NULL},
	{"epoll_ctl MOD", modify, NULL, NULL},
	{"epoll_ctl DEL and ADD", add_and_delete, NULL, NULL},
	{"poll", poll_two, NULL, NULL},
	{"select", select_two, NULL, NULL},
	{"close, with a bare dup", close_copy, NULL, NULL},
	{"dup, with a close", copy, NULL, NULL},
	{"dup2 over an eventfd", copy_over, NULL, NULL},
	{"dup2 over a TCP socket", copy_over_socket, NULL, NULL},
};
const struct rows descriptor_rows = {rows, sizeof(rows) / sizeof(rows[0])};
