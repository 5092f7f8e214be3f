/* What an intercepted call costs more than the bare one, in one process that the shim is loaded
 * into: both ways in turn, medians of many rounds; and what the shim adds to a program's start.
 *
 *	LD_PRELOAD=.../librssshim.so bench_wrappers LIBRARY
 *
 * LIBRARY is the library for the start-up rounds, which run with and without it. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 101
#define CALLS  2000
#define STARTS 41

/* Each through the dynamic linker, which finds the shim first, or straight from libc. */
static struct {
	int (*epoll_wait)(int, struct epoll_event *, int, int);
	int (*epoll_ctl)(int, int, int, struct epoll_event *);
	int (*close)(int);
	int (*dup)(int);
	int (*dup2)(int, int);
	int (*accept4)(int, struct sockaddr *, socklen_t *, int);
	int (*connect)(int, const struct sockaddr *, socklen_t);
} calls[2];

static int epfd, event_fd, unix_listener, unix_socket, tcp_listener;

static void look_up(int way, void *handle)
{
	*(void **)&calls[way].epoll_wait = dlsym(handle, "epoll_wait");
	*(void **)&calls[way].epoll_ctl = dlsym(handle, "epoll_ctl");
	*(void **)&calls[way].close = dlsym(handle, "close");
	*(void **)&calls[way].dup = dlsym(handle, "dup");
	*(void **)&calls[way].dup2 = dlsym(handle, "dup2");
	*(void **)&calls[way].accept4 = dlsym(handle, "accept4");
	*(void **)&calls[way].connect = dlsym(handle, "connect");
}

static void wait_once(int way)
{
	struct epoll_event event;

	calls[way].epoll_wait(epfd, &event, 1, 0);
}

static void modify(int way)
{
	struct epoll_event event = {.events = EPOLLIN};

	calls[way].epoll_ctl(epfd, EPOLL_CTL_MOD, event_fd, &event);
}

static void close_copy(int way)
{
	calls[way].close(calls[0].dup(event_fd));
}

static void copy_over(int way)
{
	calls[way].dup2(event_fd, 50);
}

static void accept_none(int way)
{
	calls[way].accept4(unix_listener, NULL, NULL, 0);
}

static void accept_none_tcp(int way)
{
	calls[way].accept4(tcp_listener, NULL, NULL, 0);
}

static void connect_nowhere(int way)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "/nowhere"};

	calls[way].connect(unix_socket, (void *)&name, sizeof(name));
}

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, int count)
{
	qsort(values, (size_t)count, sizeof(*values), by_value);
	return values[count / 2];
}

static void measure(const char *what, void (*call)(int way))
{
	double took[2][ROUNDS], extra[ROUNDS];

	for (int round = 0; round < ROUNDS; round++) {
		for (int turn = 0; turn < 2; turn++) {
			int way = turn ^ (round & 1);
			double start = now_ns();
			for (int i = 0; i < CALLS; i++)
				call(way);
			took[way][round] = (now_ns() - start) / CALLS;
		}
		extra[round] = took[1][round] - took[0][round];
	}
	double bare = median(took[0], ROUNDS), shim = median(took[1], ROUNDS);
	printf("%-28s %7.0f %7.0f %+8.1f %7.2f\n", what, bare, shim, median(extra, ROUNDS),
	       shim / bare);
}

/* Milliseconds from spawning to the end. */
static double start_once(char *const *command, char *preload)
{
	char *with[] = {preload, "PATH=/usr/sbin:/usr/bin:/bin", NULL};
	double start = now_ns();
	pid_t pid;
	int status;

	if (posix_spawnp(&pid, command[0], NULL, NULL, command, preload ? with : with + 1))
		return -1;
	waitpid(pid, &status, 0);
	return (now_ns() - start) / 1e6;
}

static void measure_start(const char *what, char *const *command, char *preload)
{
	double took[2][STARTS], extra[STARTS];

	for (int i = 0; i < STARTS; i++) {
		took[0][i] = start_once(command, NULL);
		took[1][i] = start_once(command, preload);
		extra[i] = took[1][i] - took[0][i];
	}
	printf("%-28s %7.2f %7.2f %+8.2f %7.2f\n", what, median(took[0], STARTS),
	       median(took[1], STARTS), median(extra, STARTS),
	       median(took[1], STARTS) / median(took[0], STARTS));
}

static void set_up(void)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	struct sockaddr_in any = {.sin_family = AF_INET};
	struct epoll_event event = {.events = EPOLLIN};

	snprintf(name.sun_path + 1, 40, "bench-wrappers-%d", getpid());
	unix_listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	unix_socket = socket(AF_UNIX, SOCK_STREAM, 0);
	bind(unix_listener, (void *)&name, sizeof(name));
	listen(unix_listener, 5);
	tcp_listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	bind(tcp_listener, (void *)&any, sizeof(any));
	listen(tcp_listener, 5);
	epfd = epoll_create1(0);
	event_fd = eventfd(0, 0);
	epoll_ctl(epfd, EPOLL_CTL_ADD, event_fd, &event);
}

int main(int argc, char **argv)
{
	char *const true_command[] = {"/bin/true", NULL};
	char *const nginx_command[] = {"nginx", "-t", "-q", NULL};
	struct epoll_event event = {.events = EPOLLIN};
	char preload[4096];

	if (argc != 2) {
		fprintf(stderr, "usage: bench_wrappers LIBRARY\n");
		return 2;
	}
	look_up(0, dlopen("libc.so.6", RTLD_NOW));
	look_up(1, RTLD_DEFAULT);
	if (calls[0].close == calls[1].close)
		puts("the shim is not loaded: both ways are the same");
	set_up();
	puts("ns a call                       bare    shim     more   ratio");
	measure("epoll_wait, no listener", wait_once);
	measure("epoll_ctl, no listener", modify);
	measure("close (and a bare dup)", close_copy);
	measure("dup2", copy_over);
	measure("accept4, unix, none there", accept_none);
	measure("accept4, tcp, none there", accept_none_tcp);
	measure("connect, unix, refused", connect_nowhere);
	epoll_ctl(epfd, EPOLL_CTL_ADD, tcp_listener, &event);
	measure("epoll_wait, tcp listener", wait_once);
	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", argv[1]);
	puts("\nms a start                   without    with     more   ratio");
	measure_start("/bin/true", true_command, preload);
	measure_start("nginx -t", nginx_command, preload);
	return 0;
}
