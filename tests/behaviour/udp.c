/* UDP sockets are nobody's business, also beside a listener on the same port. */
#include "tests/behaviour/behaviour.h"
#include <arpa/inet.h>
#include <sys/epoll.h>

#define LOCAL_PORT_RANGE 51

static int bound_udp(int port, bool shared)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	if (shared)
		CHECK(!set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1));
	CHECK(!bind(fd, (void *)&any, sizeof(any)));
	return fd;
}

static void send_to(int port, const char *text)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
	CHECK(!connect(fd, (void *)&to, sizeof(to)));
	CHECK(port_of(fd) > 0);
	CHECK(get_int(fd, IPPROTO_IP, LOCAL_PORT_RANGE) <= 0);
	CHECK(send(fd, text, strlen(text), 0) == (ssize_t)strlen(text));
	close(fd);
}

static int options_of(int fd)
{
	static const int names[] = {SO_REUSEADDR, SO_REUSEPORT, SO_PRIORITY, SO_INCOMING_CPU};
	int sum = 0;

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		sum = sum * 7 + get_int(fd, SOL_SOCKET, names[i]);
	return sum;
}

void behaviour(void)
{
	int listener = tcp_listener(SOCK_NONBLOCK), port = port_of(listener),
	    epfd = epoll_create1(0);
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 1};
	char text[8];

	/* The port of a listener is free for UDP, once: then it is in use. */
	int fd = bound_udp(port, false), second = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in same = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	CHECK_FAILS(bind(second, (void *)&same, sizeof(same)), EADDRINUSE);
	int before = options_of(fd);
	CHECK(!epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event));
	event.data.u64 = 2;
	CHECK(!epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event));
	CHECK(epoll_wait(epfd, &event, 1, 10) == 0);
	send_to(port, "one");
	CHECK(epoll_wait(epfd, &event, 1, 2000) == 1 && event.data.u64 == 1);
	CHECK(is_readable(fd, 0));
	CHECK(recv(fd, text, sizeof(text), 0) == 3);
	CHECK_FAILS(recv(fd, text, sizeof(text), 0), EAGAIN);
	CHECK_FAILS(accept(fd, NULL, NULL), EOPNOTSUPP);
	CHECK_FAILS(listen(fd, 5), EOPNOTSUPP);
	CHECK(options_of(fd) == before && get_int(fd, SOL_SOCKET, SO_REUSEPORT) == 0);
	close(fd);
	CHECK(!bind(second, (void *)&same, sizeof(same)));
	close(second);

	/* A group of the application's own: two sockets, each datagram at one of them. */
	int group[] = {bound_udp(port, true), bound_udp(port, true)}, got = 0;
	for (int i = 0; i < 20; i++)
		send_to(port, "x");
	for (int i = 0; i < 2; i++)
		while (recv(group[i], text, sizeof(text), 0) == 1)
			got++;
	CHECK(got == 20);
	close(group[0]);
	for (int i = 0; i < 5; i++)
		send_to(port, "y");
	for (got = 0; recv(group[1], text, sizeof(text), 0) == 1; got++)
		;
	CHECK(got == 5);
	close(group[1]);

	int one = connected(CPU0, port);
	CHECK(epoll_wait(epfd, &event, 1, 2000) == 1 && event.data.u64 == 2);
	gone(one);
}
