/* shutdown() of a listener: nobody gets in, queued connections end, listen() opens it again. */
#include "tests/behaviour/behaviour.h"
#include <fcntl.h>

void behaviour(void)
{
	int listener = tcp_bound(SOCK_NONBLOCK), port = port_of(listener), fd;

	/* Or the connections that end hold the port against a second listen(). */
	set_int(listener, SOL_SOCKET, SO_REUSEADDR, 1);
	CHECK(!listen(listener, 64));

	for (int round = 0; round < 3; round++) {
		for (enum way way = LOOPBACK; way < WAYS; way++) {
			int one = connected(way, port);
			CHECK(is_readable(listener, 2000));
			CHECK((fd = accept(listener, NULL, NULL)) >= 0 && is_pair(one, fd));
			close(fd);
			gone(one);
		}
		int queued = connected(CPU0, port), other = connected(LOOPBACK, port);
		CHECK(!shutdown(listener, round == 1 ? SHUT_RDWR : SHUT_RD));
		char byte;
		CHECK_FAILS(recv(queued, &byte, 1, 0), ECONNRESET);
		CHECK_FAILS(recv(other, &byte, 1, 0), ECONNRESET);
		gone(queued);
		gone(other);
		for (enum way way = LOOPBACK; way < WAYS; way++)
			CHECK(is_refused(way, port));
		CHECK_FAILS(accept(listener, NULL, NULL), EINVAL);
		CHECK(listening_on(port) == 0);
		CHECK(port_of(listener) == port);
		CHECK(!listen(listener, 64));
	}
	CHECK_FAILS(shutdown(listener, 9), EINVAL);
	CHECK_FAILS(shutdown(-1, SHUT_RD), EBADF);
	CHECK_FAILS(shutdown(0, SHUT_RD), ENOTSOCK);
}
