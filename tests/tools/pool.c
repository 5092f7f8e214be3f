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
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WORKERS_MAX = 16, LEFT_BEHIND = 8, ALIVE = 0x600df00d, DEAD = 0xdead };

struct connection {
	int fd, epfd;      /* where it was added */
	uint32_t interest; /* what was asked for last */
	size_t unsent;
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
	bool stored;     /* changes connections by the instance where they were added */
	bool writes;     /* asks to be told when it can write, and sends then */
	bool streams;    /* closes by fclose() */
	bool guests;     /* there are workers that come and go */
	bool helper;     /* a thread that waits nowhere arms connections again; one-shot only */
	bool bystander;  /* a thread with an instance that has nothing to do with all this */
} opt = {.how = "level", .passed = -1};

static uint32_t interest = EPOLLIN;
static int instance[WORKERS_MAX], listener;
static atomic_ulong accepted, closed, echoed, wrong;
static atomic_bool stop;
static pthread_t threads[WORKERS_MAX], others[3];
static int to_helper[2];
static int other_count;

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
	struct epoll_event event = {.events = c->interest, .data.ptr = c};

	if (epoll_ctl(opt.stored ? c->epfd : epfd, op, c->fd, &event))
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
	FILE *stream = opt.streams ? fdopen(fd, "r+") : NULL;
	if (stream)
		fclose(stream);
	else
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

/* The same, in two steps. */
static bool echo_later(struct connection *c)
{
	uint32_t how = interest & ~(uint32_t)EPOLLIN;
	ssize_t done;

	if (c->unsent) {
		done = send(c->fd, c->out, c->unsent, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (done != (ssize_t)c->unsent)
			return false;
		echoed += c->unsent;
		c->unsent = 0;
	} else {
		done = recv(c->fd, c->out, sizeof(c->out), MSG_DONTWAIT);
		if (done <= 0)
			return done < 0 && errno == EAGAIN;
		c->unsent = (size_t)done;
	}
	c->interest = how | (c->unsent ? EPOLLOUT : EPOLLIN);
	return true;
}

static void serve(int epfd, struct connection *c, uint32_t events)
{
	if (c->alive != ALIVE || atomic_exchange(&c->busy, 1)) {
		is_wrong("told of a connection that is another's, or over", c);
		return;
	}
	if (events & ~(c->interest | EPOLLERR | EPOLLHUP))
		is_wrong("told of what it did not ask", c);
	if (opt.writes ? !echo_later(c) : !echo(c)) {
		end(epfd, c);
		return;
	}
	c->turns++;
	c->busy = 0;
	if (opt.helper && c->turns % 7 == 0) {
		if (write(to_helper[1], &c, sizeof(c)) != sizeof(c))
			is_wrong("the helper is not told", c);
	} else if (opt.writes) {
		control(epfd, EPOLL_CTL_MOD, c);
	} else if (opt.readds && c->turns % 16 == 0) {
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
	*c = (struct connection){.fd = fd, .epfd = epfd, .alive = ALIVE, .interest = interest};
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
				serve(instance[worker], events[i].data.ptr, events[i].events);
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

static int make_listener(int port)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)) || listen(fd, 4096))
		die("listen");
	return fd;
}

/* A connection of its own, so that it is a worker like the others. Returns the accepted end. */
static int connect_itself(int *other)
{
	struct sockaddr_in6 address;
	socklen_t length = sizeof(address);
	int own = make_listener(0);

	*other = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	getsockname(own, (struct sockaddr *)&address, &length);
	if (connect(*other, (struct sockaddr *)&address, length))
		die("connect");
	int fd = accept4(own, NULL, NULL, SOCK_CLOEXEC);
	close(own);
	return fd;
}

/* Works for a while on an instance of its own. Ends without closing it, every other time. */
static void *visit(void *argument)
{
	long number = (long)argument;
	struct epoll_event events[64];
	int other, epfd = epoll_create1(EPOLL_CLOEXEC), own = connect_itself(&other);
	struct connection mine = {.fd = own, .epfd = epfd, .interest = interest};

	pin(opt.cpu[number % opt.workers]);
	control(epfd, EPOLL_CTL_ADD, &mine);
	for (int turn = 0; !stop && turn < 100; turn++) {
		int count = epoll_wait(epfd, events, 64, 20);
		for (int i = 0; i < count; i++)
			serve(epfd, events[i].data.ptr, events[i].events);
		usleep(1000);
	}
	close(own);
	close(other);
	if (number / opt.workers % 2)
		return (void *)(long)epfd;
	close(epfd);
	return (void *)-1L;
}

/* One after another, while there are connections. What they leave open is closed much later. */
static void *invite(void *unused)
{
	int left[LEFT_BEHIND], count = 0;

	for (long number = 0; !stop; number++) {
		pthread_t thread;
		void *epfd;
		while (!stop && accepted == closed)
			usleep(10000);
		if (pthread_create(&thread, NULL, visit, (void *)number))
			die("pthread_create");
		pthread_join(thread, &epfd);
		if ((long)epfd < 0)
			continue;
		if (count >= LEFT_BEHIND)
			close(left[count % LEFT_BEHIND]);
		left[count++ % LEFT_BEHIND] = (int)(long)epfd;
	}
	return unused;
}

/* Arms what workers were told of, or takes it out and adds it to any instance. From then on it is
 * the workers', who may free it. */
static void *help(void *unused)
{
	struct connection *c;

	for (unsigned turn = 0; read(to_helper[0], &c, sizeof(c)) == sizeof(c); turn++) {
		if (turn % 4) {
			control(c->epfd, EPOLL_CTL_MOD, c);
			continue;
		}
		control(c->epfd, EPOLL_CTL_DEL, c);
		c->epfd = instance[turn / 4 % (unsigned)opt.workers];
		control(c->epfd, EPOLL_CTL_ADD, c);
	}
	return unused;
}

/* Pinned, and waits on an instance, as an acceptor or a logger may; never for connections. */
static void *stand_by(void *unused)
{
	struct connection own = {.fd = eventfd(0, EFD_CLOEXEC), .interest = EPOLLIN};
	struct epoll_event event;

	own.epfd = epoll_create1(EPOLL_CLOEXEC);
	pin(opt.cpu[0]);
	control(own.epfd, EPOLL_CTL_ADD, &own);
	while (!stop)
		if (epoll_wait(own.epfd, &event, 1, 20) > 0)
			is_wrong("a bystander is told of a connection", event.data.ptr);
	return unused;
}

static void start_one(void *(*run)(void *))
{
	if (pthread_create(&others[other_count++], NULL, run, NULL))
		die("pthread_create");
}

static void start(void)
{
	struct epoll_event event = {.events = EPOLLIN};

	listener = opt.passed >= 0 ? opt.passed : make_listener(opt.port);
	if (opt.helper && pipe(to_helper))
		die("pipe");
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
	if (opt.guests)
		start_one(invite);
	if (opt.bystander)
		start_one(stand_by);
	if (opt.helper)
		start_one(help);
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
		{"stored", no_argument, NULL, 's'},
		{"writes", no_argument, NULL, 'w'},
		{"streams", no_argument, NULL, 'm'},
		{"guests", no_argument, NULL, 'g'},
		{"bystander", no_argument, NULL, 'b'},
		{"passed", required_argument, NULL, 'l'},
		{"helper", no_argument, NULL, 'a'},
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
		case 's':
			opt.stored = true;
			break;
		case 'w':
			opt.writes = true;
			break;
		case 'm':
			opt.streams = true;
			break;
		case 'g':
			opt.guests = true;
			break;
		case 'a':
			opt.helper = true;
			break;
		case 'b':
			opt.bystander = true;
			break;
		default:
			exit(2);
		}
	}
	if (!opt.port || !opt.workers) {
		fprintf(stderr, "pool --port N --cpus LIST [--how level|edge|oneshot] [--dealer] "
				"[--readds] [--dups] [--forks] [--stored] [--writes] [--streams] "
				"[--guests] [--bystander] [--helper] [--passed FD]\n");
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
	if (opt.helper)
		close(to_helper[1]);
	while (other_count)
		pthread_join(others[--other_count], NULL);
	printf("{\"accepted\":%lu,\"closed\":%lu,\"echoed\":%lu,\"wrong\":%lu}\n", accepted, closed,
	       echoed, wrong);
	return wrong != 0;
}
