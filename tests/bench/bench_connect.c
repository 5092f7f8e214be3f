/* What connect() takes, as a client that knows nothing of the shim sees it.
 *
 *	bench_connect fill ADDRESS PORT COUNT	connects, says "ready", holds them until it is ended
 *	bench_connect time ADDRESS PORT COUNT	prints the p50 and the p99 of COUNT calls, in ns
 *
 * Timed is the call alone, not the handshake: sockets are non-blocking. All are closed with a
 * reset, so that no TIME_WAIT adds to the ports that are taken. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* The shim's look at the machine, the kernel's first route, the ports found taken at first. */
#define WARM_UP 100

static struct sockaddr_in to = {.sin_family = AF_INET};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

static int connect_one(long *ns)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), error = 0;
	const struct linger reset = {.l_onoff = 1};
	struct pollfd wait = {.fd = fd, .events = POLLOUT};
	socklen_t len = sizeof(error);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)))
		die("socket");
	long before = now_ns();
	int result = connect(fd, (struct sockaddr *)&to, sizeof(to));
	*ns = now_ns() - before;
	if (result && errno != EINPROGRESS)
		die("connect");
	if (poll(&wait, 1, 5000) != 1 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) ||
	    error) {
		fprintf(stderr, "not connected: %s\n", strerror(error));
		exit(1);
	}
	return fd;
}

static void fill(unsigned count)
{
	struct rlimit limit = {.rlim_cur = count + 64, .rlim_max = count + 64};
	long ns;

	if (setrlimit(RLIMIT_NOFILE, &limit))
		die("setrlimit");
	while (count--)
		connect_one(&ns);
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}

static int by_size(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;

	return (x > y) - (x < y);
}

static void time_them(unsigned count)
{
	long *ns = calloc(count, sizeof(*ns)), ignored;

	if (!ns)
		die("calloc");
	for (unsigned i = 0; i < WARM_UP + count; i++)
		close(connect_one(i < WARM_UP ? &ignored : &ns[i - WARM_UP]));
	qsort(ns, count, sizeof(*ns), by_size);
	printf("%ld %ld\n", ns[count / 2], ns[count - 1 - count / 100]);
	free(ns);
}

int main(int argc, char **argv)
{
	unsigned count = argc == 5 ? (unsigned)strtoul(argv[4], NULL, 10) : 0;

	if (!count || inet_pton(AF_INET, argv[2], &to.sin_addr) != 1) {
		fprintf(stderr, "usage: bench_connect fill|time ADDRESS PORT COUNT\n");
		return 2;
	}
	to.sin_port = htons((uint16_t)strtoul(argv[3], NULL, 10));
	if (!strcmp(argv[1], "fill"))
		fill(count);
	time_them(count);
	return 0;
}
