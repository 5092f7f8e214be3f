/* A TCP proxy with both legs of a connection on one CPU: the worker pinned to the CPU where the
 * client's packets arrive serves it, and the connection to the server leaves from a source port
 * that brings the replies to the same CPU. When one side ends, so does the other.
 *
 *	proxy PORT SERVER-IPV4 SERVER-PORT [POLICY] */
#include "workers.h"
#include <arpa/inet.h>
#include <string.h>

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51 /* Linux 6.3 */
#endif

/* What was read from a leg waits here until the other takes it. */
struct leg {
	int fd;
	struct leg *other;
	size_t start, end;
	char data[16384];
};

static struct rssshim *rss;
static struct sockaddr_in server, source;
static unsigned nic; /* that the server's packets come in by */

/* A range of one port: that port, still shared over destinations. */
static int connect_from(uint16_t port)
{
	uint32_t only = (uint32_t)port << 16 | port;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (port)
		setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &only, sizeof(only));
	if (!connect(fd, (struct sockaddr *)&server, sizeof(server)) || errno == EINPROGRESS)
		return fd;
	close(fd);
	return -1;
}

/* Some ports that fit, as one may be in use; any port rather than none. */
static int connect_to_server(int cpu)
{
	struct rssshim_flow flow = {nic, (struct sockaddr *)&server, (struct sockaddr *)&source};
	uint16_t ports[16];
	int fd = -1, found = rssshim_ports(rss, &flow, cpu, (uint32_t)random(), ports, 16);

	for (int i = 0; i < found && fd < 0; i++)
		fd = connect_from(ports[i]);
	return fd < 0 ? connect_from(0) : fd;
}

/* Read from a leg if nothing of it is left to pass on, write to it if the other has something. */
static void watch(int epoll, int operation, struct leg *leg)
{
	struct epoll_event event = {.data.ptr = leg};

	event.events = (leg->start == leg->end ? EPOLLIN : 0u) |
		       (leg->other->start < leg->other->end ? EPOLLOUT : 0u);
	epoll_ctl(epoll, operation, leg->fd, &event);
}

/* False: the connection is over. */
static bool pass_on(struct leg *from)
{
	if (from->start == from->end) {
		ssize_t n = recv(from->fd, from->data, sizeof(from->data), MSG_DONTWAIT);

		if (n <= 0)
			return n < 0 && errno == EAGAIN;
		from->start = 0;
		from->end = (size_t)n;
	}
	ssize_t sent = send(from->other->fd, from->data + from->start, from->end - from->start,
			    MSG_DONTWAIT | MSG_NOSIGNAL);
	from->start += sent > 0 ? (size_t)sent : 0;
	return sent > 0 || errno == EAGAIN;
}

/* The client's leg came first. */
static bool open_other(int epoll, int cpu, struct leg *leg)
{
	leg->other->fd = connect_to_server(cpu);
	if (leg->other->fd < 0)
		return false;
	watch(epoll, EPOLL_CTL_ADD, leg->other);
	return true;
}

static void *work(void *argument)
{
	int *epoll = argument, cpu = (int)(epoll - worker_epoll);
	struct epoll_event event; /* one at a time: a leg may end the other */

	for (;;) {
		if (epoll_wait(*epoll, &event, 1, -1) != 1)
			continue;
		struct leg *leg = event.data.ptr;
		bool open = leg->other->fd >= 0 || open_other(*epoll, cpu, leg);

		if (open && pass_on(leg) && pass_on(leg->other)) {
			watch(*epoll, EPOLL_CTL_MOD, leg);
			watch(*epoll, EPOLL_CTL_MOD, leg->other);
			continue;
		}
		close(leg->fd);
		close(leg->other->fd);
		free(leg < leg->other ? leg : leg->other);
	}
	return NULL;
}

static void start_connection(int client)
{
	struct leg *legs = calloc(2, sizeof(*legs));
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = legs};

	if (legs) {
		legs[0] = (struct leg){.fd = client, .other = &legs[1]};
		legs[1] = (struct leg){.fd = -1, .other = &legs[0]};
		if (!epoll_ctl(worker_epoll[worker_of(client)], EPOLL_CTL_ADD, client, &event))
			return; /* the worker's from here on */
	}
	close(client);
	free(legs);
}

int main(int argc, char **argv)
{
	struct sockaddr_storage local = {0};

	server.sin_family = AF_INET;
	if (argc < 4 || argc > 5 || inet_pton(AF_INET, argv[2], &server.sin_addr) != 1) {
		fprintf(stderr, "usage: proxy PORT SERVER-IPV4 SERVER-PORT [POLICY]\n");
		return 2;
	}
	server.sin_port = htons((uint16_t)atoi(argv[3]));
	errno = -rssshim_open(&rss, argv[4]);
	if (errno)
		die("rssshim_open");
	errno = -rssshim_route(rss, (struct sockaddr *)&server, &local, &nic);
	if (errno)
		die("no way to the server");
	memcpy(&source, &local, sizeof(source));
	workers_start(work);
	int listener = listen_on(argv[1]);
	for (;;)
		start_connection(accept_one(listener));
}
