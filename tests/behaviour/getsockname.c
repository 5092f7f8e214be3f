/* getsockname(): a port is there as soon as bind() returned, of a listener, of a client, of what
 * was accepted; and what is refused. */
#include "tests/behaviour/behaviour.h"
#include <arpa/inet.h>
#include <fcntl.h>

static int port_by(int fd, uint32_t *address)
{
	struct sockaddr_in in = {0};
	socklen_t length = sizeof(in);

	errno = 77;
	CHECK(!getsockname(fd, (void *)&in, &length) && errno == 77);
	CHECK(length == sizeof(in) && in.sin_family == AF_INET);
	if (address)
		*address = in.sin_addr.s_addr;
	return ntohs(in.sin_port);
}

static void bound(const char *to, uint16_t port)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	uint32_t address;

	inet_pton(AF_INET, to, &in.sin_addr);
	CHECK(port_by(fd, NULL) == 0);
	NEED(!bind(fd, (void *)&in, sizeof(in)));
	int first = port_by(fd, &address);
	CHECK(address == in.sin_addr.s_addr && first > 0 && (!port || first == port));
	/* The same whenever it is asked for. */
	CHECK(port_by(fd, NULL) == first);
	CHECK(!listen(fd, 1) && port_by(fd, NULL) == first);
	close(fd);
}

void behaviour(void)
{
	int listener = tcp_listener(SOCK_NONBLOCK), null = open("/dev/null", O_RDONLY);
	struct sockaddr_in in = {0};
	socklen_t length = sizeof(in);

	bound("127.0.0.1", 0);
	bound("0.0.0.0", 0);
	if (getenv("BEHAVIOUR_PEER"))
		bound("10.99.0.1", 0);
	CHECK_FAILS(getsockname(null, (void *)&in, &length), ENOTSOCK);
	CHECK_FAILS(getsockname(-1, (void *)&in, &length), EBADF);
	CHECK_FAILS(getsockname(listener, (void *)&in, NULL), EFAULT);
	CHECK_FAILS(getsockname(listener, NULL, &length), EFAULT);
	length = (socklen_t)-1;
	CHECK_FAILS(getsockname(listener, (void *)&in, &length), EINVAL);
	/* Cut off, with the length it would have had. */
	length = 4;
	CHECK(!getsockname(listener, (void *)&in, &length) && length == sizeof(in));
	CHECK(ntohs(in.sin_port) == port_of(listener));
	for (enum way way = LOOPBACK; way < WAYS; way++) {
		int one = connected(way, port_of(listener));
		CHECK(is_readable(listener, 2000));
		int fd = accept(listener, NULL, NULL);
		CHECK(fd >= 0 && is_pair(one, fd) && port_by(fd, NULL) == port_of(listener));
		close(fd);
		gone(one);
	}
}
