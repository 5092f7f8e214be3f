/* Small servers, one for each way a program can listen, that answer conns --numbered: each line
 * "NUMBER ADDRESS" comes back as "NUMBER PEER", PEER being what accept() told. Workers are pinned,
 * one a CPU of --cpus, or not ("any"). Connections stay open until the client closes. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS_MAX 16
#define POLL_MAX    3000

static struct {
	const char *wait; /* epoll, edge, oneshot, exclusive, nested, poll, select, accept */
	bool threads;
	bool own_sockets; /* a listener a worker, with SO_REUSEPORT */
	int passed;       /* a listener that was passed, or -1 */
	int received;     /* a Unix socket by which one comes, or -1 */
	int port, family;
	int workers, cpu[WORKERS_MAX];
	bool blocks;     /* the listener, although it is waited for by epoll */
	int leave_after; /* connections after which the first worker stops watching the listener */
	bool disarm;     /* which it then leaves in its instance, without events */
	int doze;        /* seconds to sleep once it listens, before the workers start */
	int end_after;   /* .. and its thread ends, with what it has */
} opt = {.wait = "epoll", .passed = -1, .received = -1, .family = AF_INET};

static int listener[WORKERS_MAX];

/* What accept() told of each descriptor. */
static struct sockaddr_storage told[20000];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int make_listener(void)
{
	int fd = socket(opt.family, SOCK_STREAM, 0), on = 1;
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)opt.port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)opt.port)};
	bool is6 = opt.family == AF_INET6;

	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (is6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (opt.own_sockets)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (bind(fd, is6 ? (void *)&in6 : (void *)&in, is6 ? sizeof(in6) : sizeof(in)))
		die("bind");
	if (listen(fd, 1024))
		die("listen");
	return fd;
}

static int receive_listener(int from)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec data = {.iov_base = &byte, .iov_len = 1};
	struct msghdr message = {.msg_iov = &data,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	int fd;

	if (recvmsg(from, &message, 0) != 1 || message.msg_controllen < CMSG_LEN(sizeof(fd)))
		die("recvmsg");
	memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
	close(from);
	return fd;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set))
		die("affinity");
}

static int take(int from, int flags)
{
	struct sockaddr_storage peer = {0};
	socklen_t length = sizeof(peer);
	int accepted = accept4(from, (struct sockaddr *)&peer, &length, flags);

	if (accepted >= (int)(sizeof(told) / sizeof(*told)))
		die("too many descriptors");
	if (accepted >= 0)
		told[accepted] = peer;
	return accepted;
}

static void peer_text(int fd, char *text, size_t room)
{
	const struct sockaddr_in6 *in6 = (void *)&told[fd];
	const struct sockaddr_in *in = (void *)&told[fd];
	bool is6 = told[fd].ss_family == AF_INET6;
	char host[INET6_ADDRSTRLEN];

	inet_ntop(is6 ? AF_INET6 : AF_INET, is6 ? (void *)&in6->sin6_addr : (void *)&in->sin_addr,
		  host, sizeof(host));
	snprintf(text, room, is6 ? "[%s]:%u" : "%s:%u", host, ntohs(in->sin_port));
}

/* One exchange. Returns false when the connection is over. */
static bool answer(int fd)
{
	char line[256], peer[96] = "", reply[400];
	ssize_t got = read(fd, line, sizeof(line) - 1);

	if (got <= 0)
		return got < 0 && (errno == EAGAIN || errno == EINTR);
	line[got] = '\0';
	char *space = strchr(line, ' ');
	if (!space)
		return false;
	*space = '\0';
	peer_text(fd, peer, sizeof(peer));
	int length = snprintf(reply, sizeof(reply), "%s %s\n", line, peer);
	return write(fd, reply, (size_t)length) == length;
}

static void epoll_add(int ep, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.fd = fd};

	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event))
		die("epoll_ctl");
}

static void leave(int ep, int from)
{
	struct epoll_event nothing = {.events = 0, .data.fd = from};

	if (!strcmp(opt.wait, "oneshot"))
		return; /* it just does not arm it again */
	epoll_ctl(ep, opt.disarm ? EPOLL_CTL_MOD : EPOLL_CTL_DEL, from, &nothing);
}

static void serve_epoll(int from, bool first)
{
	int ep = epoll_create1(EPOLL_CLOEXEC);
	bool edge = !strcmp(opt.wait, "edge"), oneshot = !strcmp(opt.wait, "oneshot");
	bool exclusive = !strcmp(opt.wait, "exclusive"), nested = !strcmp(opt.wait, "nested");
	uint32_t how = EPOLLIN | (edge ? EPOLLET : 0) | (oneshot ? EPOLLONESHOT : 0) |
		       (exclusive ? (uint32_t)EPOLLEXCLUSIVE : 0);
	struct epoll_event events[64];
	bool leaves = first && opt.leave_after;
	int taken = 0, outer = nested ? epoll_create1(EPOLL_CLOEXEC) : -1;

	if (!opt.blocks)
		fcntl(from, F_SETFL, O_NONBLOCK);
	epoll_add(ep, from, how);
	if (nested) {
		epoll_add(outer, ep, EPOLLIN);
		/* Whose thread it is shows once it is waited on. */
		epoll_wait(ep, events, 64, 0);
	}
	for (;;) {
		struct epoll_event inside;
		if (nested && epoll_wait(outer, &inside, 1, -1) != 1)
			continue;
		int count = epoll_wait(ep, events, 64, nested ? 0 : -1);
		for (int i = 0; i < count; i++) {
			int fd = events[i].data.fd;
			if (fd != from) {
				if (!answer(fd))
					close(fd);
				continue;
			}
			do {
				int accepted = take(from, SOCK_NONBLOCK);
				if (accepted < 0)
					break;
				epoll_add(ep, accepted, EPOLLIN);
				taken++;
				if (leaves && taken == opt.leave_after)
					leave(ep, from);
				if (first && taken == opt.end_after)
					return;
			} while (edge);
			bool left = leaves && taken >= opt.leave_after;
			struct epoll_event again = {.events = how, .data.fd = from};
			if (oneshot && !left && epoll_ctl(ep, EPOLL_CTL_MOD, from, &again))
				die("epoll_ctl MOD");
		}
	}
}

static void serve_poll(int from)
{
	static __thread struct pollfd fds[POLL_MAX];
	nfds_t count = 1;

	fds[0] = (struct pollfd){.fd = from, .events = POLLIN};
	fcntl(from, F_SETFL, O_NONBLOCK);
	for (;;) {
		if (poll(fds, count, -1) < 0)
			continue;
		for (nfds_t i = count - 1; i > 0; i--) {
			if (fds[i].revents && !answer(fds[i].fd)) {
				close(fds[i].fd);
				fds[i] = fds[--count];
			}
		}
		int accepted = fds[0].revents && count < POLL_MAX ? take(from, 0) : -1;
		if (accepted >= 0)
			fds[count++] = (struct pollfd){.fd = accepted, .events = POLLIN};
	}
}

static void serve_select(int from)
{
	fd_set all, ready;
	int top = from;

	FD_ZERO(&all);
	FD_SET(from, &all);
	fcntl(from, F_SETFL, O_NONBLOCK);
	for (;;) {
		ready = all;
		if (select(top + 1, &ready, NULL, NULL, NULL) < 0)
			continue;
		for (int fd = 0; fd <= top; fd++) {
			if (!FD_ISSET(fd, &ready))
				continue;
			if (!FD_ISSET(fd, &all)) {
				fprintf(stderr, "select gained descriptor %d\n", fd);
				exit(1);
			}
			if (fd != from) {
				if (!answer(fd)) {
					close(fd);
					FD_CLR(fd, &all);
				}
				continue;
			}
			int accepted = take(from, 0);
			if (accepted >= FD_SETSIZE) {
				close(accepted);
			} else if (accepted >= 0) {
				FD_SET(accepted, &all);
				top = accepted > top ? accepted : top;
			}
		}
	}
}

/* Blocks in accept(), exchanges once, keeps the connection. */
static void serve_accept(int from)
{
	for (;;) {
		int accepted = take(from, 0);
		if (accepted >= 0 && !answer(accepted))
			close(accepted);
	}
}

static void *work(void *argument)
{
	long worker = (long)argument;
	int from = opt.own_sockets ? listener[worker] : listener[0];

	if (opt.cpu[worker] >= 0)
		pin(opt.cpu[worker]);
	if (!strcmp(opt.wait, "poll"))
		serve_poll(from);
	else if (!strcmp(opt.wait, "select"))
		serve_select(from);
	else if (!strcmp(opt.wait, "accept"))
		serve_accept(from);
	else
		serve_epoll(from, !worker);
	return NULL;
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{"wait", required_argument, NULL, 'w'},
		{"threads", no_argument, NULL, 't'},
		{"own", no_argument, NULL, 'o'},
		{"passed", required_argument, NULL, 'f'},
		{"received", required_argument, NULL, 'r'},
		{"port", required_argument, NULL, 'p'},
		{"ipv6", no_argument, NULL, '6'},
		{"cpus", required_argument, NULL, 'c'},
		{"blocking", no_argument, NULL, 'b'},
		{"leave-after", required_argument, NULL, 'l'},
		{"disarm", no_argument, NULL, 'd'},
		{"doze", required_argument, NULL, 'z'},
		{"end-after", required_argument, NULL, 'e'},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'w':
			opt.wait = optarg;
			break;
		case 't':
			opt.threads = true;
			break;
		case 'o':
			opt.own_sockets = true;
			break;
		case 'f':
			opt.passed = atoi(optarg);
			break;
		case 'r':
			opt.received = atoi(optarg);
			break;
		case 'p':
			opt.port = atoi(optarg);
			break;
		case '6':
			opt.family = AF_INET6;
			break;
		case 'b':
			opt.blocks = true;
			break;
		case 'e':
			opt.end_after = atoi(optarg);
			break;
		case 'l':
			opt.leave_after = atoi(optarg);
			break;
		case 'z':
			opt.doze = atoi(optarg);
			break;
		case 'd':
			opt.disarm = true;
			break;
		case 'c':
			for (char *cpu = strtok(optarg, " ,"); cpu; cpu = strtok(NULL, " ,"))
				if (opt.workers < WORKERS_MAX)
					opt.cpu[opt.workers++] =
						strcmp(cpu, "any") ? atoi(cpu) : -1;
			break;
		default:
			exit(2);
		}
	}
	if (!opt.port || !opt.workers) {
		fprintf(stderr,
			"serve --port N --cpus LIST [--wait epoll|edge|oneshot|exclusive|"
			"nested|poll|select|accept] [--threads] [--own] "
			"[--passed FD | --received FD] [--ipv6] "
			"[--blocking] [--leave-after N [--disarm]] [--end-after N] [--doze N]\n");
		exit(2);
	}
}

int main(int argc, char **argv)
{
	parse(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	if (opt.received >= 0)
		opt.passed = receive_listener(opt.received);
	for (int i = 0; i < (opt.own_sockets ? opt.workers : 1); i++)
		listener[i] = opt.passed >= 0 ? opt.passed : make_listener();
	sleep((unsigned)opt.doze);
	for (long i = 0; i < opt.workers; i++) {
		pthread_t thread;
		if (opt.threads) {
			if (pthread_create(&thread, NULL, work, (void *)i))
				die("pthread_create");
		} else if (!fork()) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			work((void *)i);
		}
	}
	for (;;)
		if (wait(NULL) < 0)
			pause();
}
