/* accept4(): its flags, and that a wrong one is refused at once. */
#include "tests/behaviour/behaviour.h"
#include <fcntl.h>

void behaviour(void)
{
	int listener = tcp_listener(0), port = port_of(listener);

	CHECK_FAILS(accept4(listener, NULL, NULL, 0x40), EINVAL);
	for (enum way way = LOOPBACK; way < WAYS; way++) {
		for (int flags = 0; flags < 4; flags++) {
			int one = connected(way, port);
			int fd = accept4(listener, NULL, NULL,
					 (flags & 1 ? SOCK_NONBLOCK : 0) |
						 (flags & 2 ? SOCK_CLOEXEC : 0));
			CHECK(fd >= 0 && is_pair(one, fd));
			CHECK(!(fcntl(fd, F_GETFL) & O_NONBLOCK) == !(flags & 1));
			CHECK(!(fcntl(fd, F_GETFD) & FD_CLOEXEC) == !(flags & 2));
			close(fd);
			gone(one);
		}
	}
	CHECK(!fcntl(listener, F_SETFL, O_NONBLOCK));
	CHECK_FAILS(accept4(listener, NULL, NULL, SOCK_CLOEXEC), EAGAIN);
	CHECK(!fcntl(listener, F_SETFL, 0));
}
