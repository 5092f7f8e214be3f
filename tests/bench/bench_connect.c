/* What connect() takes, as a client that knows nothing of the shim sees it.
 *
 *	bench_connect fill ADDRESS PORT COUNT
 *		connects, says "ready", holds them until it is ended
 *	bench_connect scatter ADDRESS PORT COUNT LO HI
 *		the same on ports of LO to HI at random
 *	bench_connect time ADDRESS PORT COUNT [SETTLE]
 *		times COUNT calls, then, after SETTLE others, COUNT more;
 *		prints p50 and p99 of each lot, in ns
 *
 * Timed is the call alone: sockets are non-blocking, nobody waits for the handshake, and they are
 * closed at once, which leaves no TIME_WAIT that would add to the ports that are taken. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define IP_LOCAL_PORT_RANGE_OPTION 51 /* Linux 6.3; older headers do not have it */

/* The shim's look at the machine, the kernel's first route. */
#define WARM_UP 20

static struct sockaddr_in6 to6 = {.sin6_family = AF_INET6};
static struct sockaddr_in to4 = {.sin_family = AF_INET};
static struct sockaddr *to = (struct sockaddr *)&to4;
static socklen_t to_length = sizeof(to4);

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

static int new_socket(void)
{
	const struct linger reset = {.l_onoff = 1};
	int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)))
		die("socket");
	return fd;
}

/* False where its port was taken. */
static bool connect_begin(int fd, long *ns)
{
	long before = now_ns();
	int result = connect(fd, to, to_length);

	*ns = now_ns() - before;
	if (result && errno != EINPROGRESS && errno != EADDRNOTAVAIL)
		die("connect");
	return !result || errno == EINPROGRESS;
}

static bool connect_it(int fd)
{
	struct pollfd wait = {.fd = fd, .events = POLLOUT};
	socklen_t len = sizeof(int);
	int error = 0;
	long ns;

	if (!connect_begin(fd, &ns))
		return false;
	if (poll(&wait, 1, 5000) != 1 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) ||
	    error) {
		fprintf(stderr, "not connected: %s\n", strerror(error));
		exit(1);
	}
	return true;
}

static void make_room(unsigned count)
{
	struct rlimit limit = {.rlim_cur = count + 64, .rlim_max = count + 64};

	if (setrlimit(RLIMIT_NOFILE, &limit))
		die("setrlimit");
}

static void hold(void)
{
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}

static void fill(unsigned count)
{
	make_room(count);
	while (count--)
		if (!connect_it(new_socket()))
			die("connect");
	hold();
}

static void scatter(unsigned count, unsigned low, unsigned high)
{
	make_room(count);
	srandom((unsigned)getpid());
	while (count--) {
		int fd = new_socket();

		do {
			uint32_t port = low + (uint32_t)random() % (high - low + 1);
			uint32_t range = port << 16 | port;

			if (setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE_OPTION, &range,
				       sizeof(range)))
				die("IP_LOCAL_PORT_RANGE");
		} while (!connect_it(fd));
	}
	hold();
}

static int by_size(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;

	return (x > y) - (x < y);
}

static void connect_some(unsigned count, long *ns)
{
	long ignored;

	/* Waits for nobody: the SYN goes nowhere. */
	for (unsigned i = 0; i < count; i++) {
		int fd = new_socket();

		if (!connect_begin(fd, ns ? &ns[i] : &ignored))
			die("connect");
		close(fd);
	}
}

static void time_them(unsigned count)
{
	long *ns = calloc(count, sizeof(*ns));

	if (!ns)
		die("calloc");
	connect_some(count, ns);
	qsort(ns, count, sizeof(*ns), by_size);
	printf("%ld %ld ", ns[count / 2], ns[count - 1 - count / 100]);
	free(ns);
}

static unsigned number(char **argv, int argc, int i)
{
	return i < argc ? (unsigned)strtoul(argv[i], NULL, 10) : 0;
}

int main(int argc, char **argv)
{
	unsigned count = number(argv, argc, 4);

	if (count && inet_pton(AF_INET6, argv[2], &to6.sin6_addr) == 1) {
		to = (struct sockaddr *)&to6;
		to_length = sizeof(to6);
	} else if (!count || inet_pton(AF_INET, argv[2], &to4.sin_addr) != 1) {
		fputs("usage: bench_connect fill|scatter|time ADDRESS PORT COUNT ...\n", stderr);
		return 2;
	}
	to4.sin_port = to6.sin6_port = htons((uint16_t)number(argv, argc, 3));
	if (!strcmp(argv[1], "fill"))
		fill(count);
	if (!strcmp(argv[1], "scatter"))
		scatter(count, number(argv, argc, 5), number(argv, argc, 6));
	connect_some(WARM_UP, NULL);
	time_them(count);
	if (number(argv, argc, 5)) {
		connect_some(number(argv, argc, 5), NULL);
		time_them(count);
	}
	puts("");
	return 0;
}
