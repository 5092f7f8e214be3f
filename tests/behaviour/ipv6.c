/* Listeners of IPv6, alone and for both families. */
#include "tests/behaviour/behaviour.h"
#include <sys/epoll.h>

static int listener6(bool only)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT};
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);

	NEED(!set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, only));
	NEED(!bind(fd, (void *)&any, sizeof(any)));
	NEED(!listen(fd, 64));
	return fd;
}

static void serves(int listener, int (*come)(enum way, int))
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 42};
	int epfd = epoll_create1(0);

	CHECK(!epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event));
	CHECK(epoll_wait(epfd, &event, 1, 10) == 0);
	for (enum way way = LOOPBACK; way < WAYS; way++) {
		struct sockaddr_in6 peer = {0};
		socklen_t length = sizeof(peer);
		int one = come(way, port_of(listener));
		NEED(one >= 0);
		CHECK(epoll_wait(epfd, &event, 1, 2000) == 1 && event.data.u64 == 42);
		int fd = accept(listener, (void *)&peer, &length);
		CHECK(fd >= 0 && length == sizeof(peer) && peer.sin6_family == AF_INET6);
		CHECK(come == client || is_pair(one, fd));
		CHECK(IN6_IS_ADDR_V4MAPPED(&peer.sin6_addr) == (come == client));
		close(fd);
		gone(one);
	}
	close(epfd);
}

void behaviour(void)
{
	int both = listener6(false), only = listener6(true);

	serves(both, client6);
	serves(both, client);
	serves(only, client6);
	CHECK(is_refused(LOOPBACK, port_of(only)));
	CHECK(is_refused(CPU0, port_of(only)));
	/* The same port of the other family is another listener. */
	struct sockaddr_in any = {.sin_family = AF_INET,
				  .sin_port = htons((uint16_t)port_of(only))};
	int four = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(!bind(four, (void *)&any, sizeof(any)) && !listen(four, 64));
	for (enum way way = LOOPBACK; way < WAYS; way++) {
		int one = connected(way, port_of(only)), fd = accept(four, NULL, NULL);
		CHECK(fd >= 0 && is_pair(one, fd));
		close(fd);
		gone(one);
	}
}
