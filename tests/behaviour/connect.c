/* connect(): errors, and the address family AF_UNSPEC, which ends a socket's listening. */
#include "tests/behaviour/behaviour.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>

static int to(int fd, const char *address, int port)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

	inet_pton(AF_INET, address, &in.sin_addr);
	return connect(fd, (void *)&in, sizeof(in));
}

void behaviour(void)
{
	int listener = tcp_listener(SOCK_NONBLOCK), port = port_of(listener), fd = -1, one;
	int empty = tcp_bound(0), nobody = port_of(empty);
	struct sockaddr none = {.sa_family = AF_UNSPEC};

	CHECK(!to(one = socket(AF_INET, SOCK_STREAM, 0), "127.0.0.1", port));
	CHECK(is_readable(listener, 1000) && (fd = accept(listener, NULL, NULL)) >= 0);
	CHECK(is_pair(one, fd));
	CHECK_FAILS(to(one, "127.0.0.1", port), EISCONN);
	CHECK_FAILS(to(listener, "127.0.0.1", port), EISCONN);
	CHECK_FAILS(to(socket(AF_INET, SOCK_STREAM, 0), "127.0.0.1", nobody), ECONNREFUSED);
	CHECK_FAILS(to(-1, "127.0.0.1", port), EBADF);
	CHECK_FAILS(to(0, "127.0.0.1", port), ENOTSOCK);
	CHECK_FAILS(connect(socket(AF_INET, SOCK_STREAM, 0), &none, 1), EINVAL);
	int six = socket(AF_INET6, SOCK_STREAM, 0);
	CHECK_FAILS(to(six, "127.0.0.1", port), EINVAL);

	int soon = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int ret = to(soon, "127.0.0.1", port);
	CHECK(!ret || errno == EINPROGRESS);
	struct pollfd writable = {.fd = soon, .events = POLLOUT};
	CHECK(poll(&writable, 1, 1000) == 1 && get_int(soon, SOL_SOCKET, SO_ERROR) == 0);
	CHECK(is_readable(listener, 1000) && (fd = accept(listener, NULL, NULL)) >= 0);

	/* A connection that a source address and port were chosen for keeps them. */
	struct sockaddr_in source = {.sin_family = AF_INET,
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int from = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(!bind(from, (void *)&source, sizeof(source)));
	int chosen = port_of(from);
	CHECK(!to(from, "127.0.0.1", port) && port_of(from) == chosen);
	CHECK(is_readable(listener, 1000) && (fd = accept(listener, NULL, NULL)) >= 0);

	CHECK(!connect(listener, &none, sizeof(none)));
	CHECK_FAILS(accept(listener, NULL, NULL), EINVAL);
	for (enum way way = LOOPBACK; way < WAYS; way++)
		CHECK(is_refused(way, port));
	CHECK(listening_on(port) == 0);
	CHECK(get_int(listener, SOL_SOCKET, SO_ACCEPTCONN) == 0);
}
