/* SO_REUSEPORT reads back as the application set it, before and after listen(). */
#include "tests/behaviour/behaviour.h"
void behaviour(void)
{
	int plain = tcp_bound(0);
	short two = 9;
	socklen_t length = sizeof(two);

	CHECK(get_int(plain, SOL_SOCKET, SO_REUSEPORT) == 0);
	CHECK(!listen(plain, 5));
	CHECK(get_int(plain, SOL_SOCKET, SO_REUSEPORT) == 0);
	CHECK(!set_int(plain, SOL_SOCKET, SO_REUSEPORT, 1));
	CHECK(get_int(plain, SOL_SOCKET, SO_REUSEPORT) == 1);
	CHECK(!set_int(plain, SOL_SOCKET, SO_REUSEPORT, 0));
	CHECK(get_int(plain, SOL_SOCKET, SO_REUSEPORT) == 0);
	CHECK(!getsockopt(plain, SOL_SOCKET, SO_REUSEPORT, &two, &length));
	CHECK(length == sizeof(two) && two == 0);
	int number = dup(plain);
	CHECK(get_int(number, SOL_SOCKET, SO_REUSEPORT) == 0);
	close(number);

	struct sockaddr_in address = {.sin_family = AF_INET};
	int one = socket(AF_INET, SOCK_STREAM, 0), other = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(!set_int(one, SOL_SOCKET, SO_REUSEPORT, 1));
	CHECK(!set_int(other, SOL_SOCKET, SO_REUSEPORT, 1));
	CHECK(!bind(one, (void *)&address, sizeof(address)));
	address.sin_port = htons((uint16_t)port_of(one));
	CHECK(!listen(one, 5));
	CHECK(!bind(other, (void *)&address, sizeof(address)));
	CHECK(!listen(other, 5));
	CHECK(get_int(one, SOL_SOCKET, SO_REUSEPORT) == 1);
	CHECK(get_int(other, SOL_SOCKET, SO_REUSEPORT) == 1);
	/* Both get connections, and one that closes leaves the other a working listener. */
	close(one);
	for (int i = 0; i < 9; i++) {
		int peer = connected((enum way)(i % WAYS), port_of(other));
		CHECK(is_readable(other, 2000));
		int fd = accept(other, NULL, NULL);
		CHECK(fd >= 0 && is_pair(peer, fd));
		close(fd);
		gone(peer);
	}
	close(other);
	CHECK(is_refused(CPU0, ntohs(address.sin_port)));
}
