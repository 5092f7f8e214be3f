/* accept(): whose connection it is, the address, the flags, and what it says of others. */
#include "tests/behaviour/behaviour.h"
#include <fcntl.h>
#include <sys/epoll.h>

static void address_is_right(int listener, enum way way)
{
	int one = connected(way, port_of(listener));
	struct sockaddr_in peer = {0}, own = {0};
	socklen_t length = sizeof(peer), own_length = sizeof(own);

	CHECK(is_readable(listener, 2000));
	int fd = accept(listener, (void *)&peer, &length);
	CHECK(fd >= 0 && is_pair(one, fd));
	CHECK(length == sizeof(peer) && peer.sin_family == AF_INET);
	CHECK(!getsockname(one, (void *)&own, &own_length) && own.sin_port == peer.sin_port &&
	      own.sin_addr.s_addr == peer.sin_addr.s_addr);
	CHECK(!(fcntl(fd, F_GETFL) & O_NONBLOCK));
	CHECK(!(fcntl(fd, F_GETFD) & FD_CLOEXEC));
	CHECK(get_int(fd, SOL_SOCKET, SO_ACCEPTCONN) == 0);
	CHECK(port_of(fd) == port_of(listener));
	gone(one);
	close(fd);

	one = connected(way, port_of(listener));
	CHECK(is_readable(listener, 2000));
	length = 3;
	CHECK((fd = accept(listener, (void *)&peer, &length)) >= 0 && length == sizeof(peer));
	gone(one);
	close(fd);
}

void behaviour(void)
{
	int listener = tcp_listener(SOCK_NONBLOCK | SOCK_CLOEXEC), fd;

	CHECK_FAILS(accept(listener, NULL, NULL), EAGAIN);
	for (enum way way = LOOPBACK; way < WAYS; way++)
		address_is_right(listener, way);
	CHECK_FAILS(accept(listener, NULL, NULL), EAGAIN);

	/* In the order in which they came, from one client. */
	for (enum way way = LOOPBACK; way < WAYS; way++) {
		int one[5];
		for (int i = 0; i < 5; i++)
			one[i] = connected(way, port_of(listener));
		for (int i = 0; i < 5; i++) {
			CHECK(is_readable(listener, 2000));
			CHECK((fd = accept(listener, NULL, NULL)) >= 0 && is_pair(one[i], fd));
			close(fd);
			gone(one[i]);
		}
	}
	errno = ENOANO;
	int one = connected(CPU0, port_of(listener));
	CHECK(is_readable(listener, 2000));
	CHECK((fd = accept(listener, NULL, NULL)) >= 0);
	CHECK(errno == ENOANO); /* untouched by a success */
	CHECK_FAILS(accept(fd, NULL, NULL), EINVAL);
	CHECK_FAILS(accept(tcp_bound(0), NULL, NULL), EINVAL);
	CHECK_FAILS(accept(socket(AF_INET, SOCK_DGRAM, 0), NULL, NULL), EOPNOTSUPP);
	CHECK_FAILS(accept(-1, NULL, NULL), EBADF);
	CHECK_FAILS(accept(epoll_create1(0), NULL, NULL), ENOTSOCK);
	gone(one);
}
