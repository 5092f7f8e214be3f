/* Measuring: both ways of a call in turn. */
#include "tests/bench/wrappers/wrappers.h"
#include <dlfcn.h>
#include <sched.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/un.h>

#define ROUNDS            801
#define CONNECTION_ROUNDS 101

struct calls calls[2];
int epfd, event_fd, unix_listener, unix_socket, tcp_listener, tcp_socket;
struct sockaddr_in listener_name;

static void look_up(struct calls *of, void *handle)
{
#define LOOK_UP(name) *(void **)&of->name = dlsym(handle, #name);
	INTERCEPTED(LOOK_UP)
}

void look_up_calls(void)
{
	look_up(&calls[0], dlopen("libc.so.6", RTLD_NOW));
	look_up(&calls[1], RTLD_DEFAULT);
}

void die(const char *what)
{
	perror(what);
	exit(1);
}

static struct cost measure(const struct row *row)
{
	double took[2][ROUNDS], extra[ROUNDS];
	unsigned rounds = row->before ? CONNECTION_ROUNDS : ROUNDS;

	for (unsigned round = 0; round < rounds; round++) {
		for (unsigned second = 0; second < 2; second++) {
			unsigned way = second ^ (round & 1);
			if (row->before)
				row->before();
			double start = now_ns();
			for (int i = 0; i < CALLS; i++)
				row->call(&calls[way]);
			took[way][round] = (now_ns() - start) / CALLS;
			if (row->after)
				row->after();
		}
		extra[round] = took[1][round] - took[0][round];
	}
	return (struct cost){median(took[0], rounds), median(took[1], rounds),
			     median(extra, rounds)};
}

void pin(unsigned cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
}

int listening(int family, const void *address, socklen_t length)
{
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;

	if (family == AF_INET &&
	    ((const struct sockaddr_in *)address)->sin_port == htons(PLAIN_PORT))
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (fd < 0 || bind(fd, address, length) || listen(fd, 1024))
		die("listen");
	return fd;
}

int listening_on(uint16_t port)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};

	return listening(AF_INET, &any, sizeof(any));
}

static void set_up(void)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	struct sockaddr_in any = {.sin_family = AF_INET};
	struct epoll_event event = {.events = EPOLLIN};

	snprintf(name.sun_path + 1, 40, "bench-wrappers-%d", getpid());
	unix_listener = listening(AF_UNIX, &name, sizeof(name));
	unix_socket = socket(AF_UNIX, SOCK_STREAM, 0);
	tcp_listener = listening(AF_INET, &any, sizeof(any));
	socklen_t length = sizeof(listener_name);
	getsockname(tcp_listener, (void *)&listener_name, &length);
	listener_name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	tcp_socket = socket(AF_INET, SOCK_STREAM, 0);
	epfd = epoll_create1(0);
	event_fd = eventfd(0, 0);
	epoll_ctl(epfd, EPOLL_CTL_ADD, event_fd, &event);
}

const struct row *row_at(size_t i)
{
	if (i < descriptor_rows.count)
		return &descriptor_rows.row[i];
	i -= descriptor_rows.count;
	return i < socket_rows.count ? &socket_rows.row[i] : NULL;
}

int run_calls(void)
{
	const struct row *row;

	pin(0);
	set_up();
	for (size_t i = 0; (row = row_at(i)); i++) {
		struct cost cost = measure(row);
		printf("%f %f %f\n", cost.bare, cost.shim, cost.more);
	}
	return 0;
}
