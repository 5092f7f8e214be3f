/* An echo server of interchangeable workers: threads with an epoll instance each, and one listener
 * in all of them, or in that of a thread that deals connections out. What a worker keeps of a
 * connection is in memory that all can reach, and it is done with it when it waits again: so it is
 * all the same to it which thread is told of which connection.
 *
 * It finds out by itself when that goes wrong: two threads at one connection, one told of after it
 * was closed, a descriptor left open. Ends by SIGTERM with a line of counts; status 1 where
 * something was wrong. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WORKERS_MAX = 16, CONNECTIONS_MAX = 20000, ALIVE = 0x600df00d, DEAD = 0xdead };

struct connection {
	int fd;
	unsigned int alive, turns;
	atomic_int busy;
	char out[4096]; /* plain memory: the thread sanitizer sees who is at it */
};

static struct {
	int port, workers, cpu[WORKERS_MAX];
	int passed;      /* a listener that was passed, or -1 */
	const char *how; /* level, edge, oneshot */
	bool dealer;     /* one thread accepts and deals out */
	bool readds;     /* takes out and adds again, now and then */
	bool dups;       /* makes a copy of every eighth connection, for as long as it lives */
	bool forks;      /* forks a child, which ends at once, after every 256 connections */
} opt = {.how = "level", .passed = -1};

static uint32_t interest = EPOLLIN;
static int instance[WORKERS_MAX], listener;
static atomic_ulong accepted, closed, echoed, wrong;
static atomic_bool stop;
static pthread_t threads[WORKERS_MAX];

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static void is_wrong(const char *what, const struct connection *c)
{
	fprintf(stderr, "pool: %s (descriptor %d, errno %d)\n", what, c->fd, errno);
	wrong++;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (cpu >= 0 && pthread_setaffinity_np(pthread_self(), sizeof(set), &set))
		die("affinity");
}

static void control(int epfd, int op, struct connection *c)
{
	struct epoll_event event = {.events = interest, .data.ptr = c};

	if (epoll_ctl(epfd, op, c->fd, &event))
		is_wrong(op == EPOLL_CTL_ADD   ? "EPOLL_CTL_ADD"
			 : op == EPOLL_CTL_DEL ? "EPOLL_CTL_DEL"
					       : "EPOLL_CTL_MOD",
			 c);
}

static void end(int epfd, struct connection *c)
{
	int fd = c->fd;

	/* While a child that is about to end has a copy, closing takes nothing out of an instance.
	 */
	if (opt.forks)
		control(epfd, EPOLL_CTL_DEL, c);
	c->alive = DEAD;
	c->busy = 0;
	/* Freed before it is closed: from then on the number can be another thread's. */
	free(c);
	close(fd);
	closed++;
}

/* Returns false when the connection is over. */
static bool echo(struct connection *c)
{
	ssize_t got;

	do {
		got = recv(c->fd, c->out, sizeof(c->out), MSG_DONTWAIT);
		if (got > 0 && send(c->fd, c->out, (size_t)got, MSG_NOSIGNAL) != got)
			return false;
		echoed += got > 0 ? (unsigned long)got : 0;
	} while (got > 0 && interest & EPOLLET);
	return got > 0 || (got < 0 && errno == EAGAIN);
}

static void serve(int epfd, struct connection *c)
{
	if (c->alive != ALIVE || atomic_exchange(&c->busy, 1)) {
		is_wrong("told of a connection that is another's, or over", c);
		return;
	}
	if (!echo(c)) {
		end(epfd, c);
		return;
	}
	c->turns++;
	c->busy = 0;
	if (opt.readds && c->turns % 16 == 0) {
		control(epfd, EPOLL_CTL_DEL, c);
		control(epfd, EPOLL_CTL_ADD, c);
	} else if (interest & EPOLLONESHOT || c->turns % 8 == 0) {
		control(epfd, EPOLL_CTL_MOD, c);
	}
}

static bool take(int epfd)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct connection *c = fd < 0 ? NULL : malloc(sizeof(*c));

	if (!c)
		return false;
	c->fd = fd;
	c->alive = ALIVE;
	c->turns = 0;
	atomic_init(&c->busy, 0);
	unsigned long number = ++accepted;
	int copy = opt.dups && number % 8 == 0 ? dup(fd) : -1;
	control(epfd, EPOLL_CTL_ADD, c);
	if (copy >= 0)
		close(copy);
	if (opt.forks && number % 256 == 0 && !fork())
		_exit(0);
	return true;
}

static void *work(void *argument)
{
	long worker = (long)argument;
	struct epoll_event events[64];

	pin(opt.cpu[worker]);
	while (!stop) {
		int count = epoll_wait(instance[worker], events, 64, 100);
		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr)
				serve(instance[worker], events[i].data.ptr);
			else
				take(instance[worker]);
		}
	}
	return NULL;
}

static void *deal(void *unused)
{
	unsigned next = 0;

	while (!stop && take(instance[next++ % (unsigned)opt.workers]))
		;
	return unused;
}

static int make_listener(void)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)opt.port)};
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)) || listen(fd, 4096))
		die("listen");
	return fd;
}

static void start(void)
{
	struct epoll_event event = {.events = EPOLLIN};

	listener = opt.passed >= 0 ? opt.passed : make_listener();
	if (!opt.dealer)
		fcntl(listener, F_SETFL, O_NONBLOCK);
	for (long i = 0; i < opt.workers; i++) {
		instance[i] = epoll_create1(EPOLL_CLOEXEC);
		if (!opt.dealer && epoll_ctl(instance[i], EPOLL_CTL_ADD, listener, &event))
			die("epoll_ctl");
	}
	for (long i = 0; i < opt.workers; i++)
		if (pthread_create(&threads[i], NULL, work, (void *)i))
			die("pthread_create");
	pthread_t dealer;
	if (opt.dealer && pthread_create(&dealer, NULL, deal, NULL))
		die("pthread_create");
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{"port", required_argument, NULL, 'p'},
		{"cpus", required_argument, NULL, 'c'},
		{"how", required_argument, NULL, 'h'},
		{"dealer", no_argument, NULL, 'd'},
		{"readds", no_argument, NULL, 'r'},
		{"dups", no_argument, NULL, 'u'},
		{"forks", no_argument, NULL, 'f'},
		{"passed", required_argument, NULL, 'l'},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'p':
			opt.port = atoi(optarg);
			break;
		case 'c':
			for (char *cpu = strtok(optarg, " ,"); cpu; cpu = strtok(NULL, " ,"))
				if (opt.workers < WORKERS_MAX)
					opt.cpu[opt.workers++] = atoi(cpu);
			break;
		case 'h':
			opt.how = optarg;
			break;
		case 'l':
			opt.passed = atoi(optarg);
			break;
		case 'd':
			opt.dealer = true;
			break;
		case 'r':
			opt.readds = true;
			break;
		case 'u':
			opt.dups = true;
			break;
		case 'f':
			opt.forks = true;
			break;
		default:
			exit(2);
		}
	}
	if (!opt.port || !opt.workers) {
		fprintf(stderr, "pool --port N --cpus LIST [--how level|edge|oneshot] [--dealer] "
				"[--readds] [--dups] [--forks] [--passed FD]\n");
		exit(2);
	}
	if (!strcmp(opt.how, "edge"))
		interest |= EPOLLET;
	if (!strcmp(opt.how, "oneshot"))
		interest |= EPOLLONESHOT;
}

int main(int argc, char **argv)
{
	sigset_t ends;
	int signal_number;

	parse(argc, argv);
	signal(SIGCHLD, SIG_IGN);
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);
	start();
	sigwait(&ends, &signal_number);
	stop = true;
	for (int i = 0; i < opt.workers; i++)
		pthread_join(threads[i], NULL);
	printf("{\"accepted\":%lu,\"closed\":%lu,\"echoed\":%lu,\"wrong\":%lu}\n", accepted, closed,
	       echoed, wrong);
	return wrong != 0;
}
