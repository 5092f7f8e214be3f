/* listen(): errors, again, on a socket without an address, and the backlog. */
#include "tests/behaviour/behaviour.h"
#include <netinet/tcp.h>

static unsigned backlog_of(int fd)
{
	struct tcp_info info = {0};
	socklen_t length = sizeof(info);

	getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length);
	return info.tcpi_sacked; /* of a listener: its backlog */
}

void behaviour(void)
{
	int listener = tcp_listener(SOCK_NONBLOCK), port = port_of(listener), fd;

	CHECK(backlog_of(listener) == 64);
	CHECK(get_int(listener, SOL_SOCKET, SO_ACCEPTCONN) == 1);
	CHECK(!listen(listener, 7));
	CHECK(backlog_of(listener) == 7);
	CHECK(!listen(listener, 4096));
	for (enum way way = LOOPBACK; way < WAYS; way++) {
		int one = connected(way, port);
		sleep_ms(20);
		CHECK((fd = accept(listener, NULL, NULL)) >= 0 && is_pair(one, fd));
		gone(one);
		close(fd);
	}
	CHECK_FAILS(listen(-1, 1), EBADF);
	CHECK_FAILS(listen(0, 1), ENOTSOCK);
	CHECK_FAILS(listen(listener + 700, 1), EBADF);

	int unbound = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(!listen(unbound, 5) && port_of(unbound));
	int one = client(LOOPBACK, port_of(unbound));
	CHECK(one >= 0);
	CHECK((fd = accept(unbound, NULL, NULL)) >= 0);
	CHECK(is_pair(one, fd));
	CHECK_FAILS(listen(fd, 5), EINVAL);
}
