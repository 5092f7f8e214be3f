/* socket(): types, errors, and the lowest free number. */
#include "tests/behaviour/behaviour.h"
#include <stddef.h>
#include <sys/un.h>

void behaviour(void)
{
	int first = socket(AF_INET, SOCK_STREAM, 0), second = socket(AF_INET6, SOCK_STREAM, 0);

	CHECK(first >= 0 && second == first + 1);
	CHECK(!close(first));
	CHECK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP) == first);
	CHECK_FAILS(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT);
	CHECK_FAILS(socket(-1, SOCK_STREAM, 0), EAFNOSUPPORT);
	CHECK_FAILS(socket(AF_INET, 77, 0), EINVAL);

	/* What the shim opens for itself takes no number the application would have got. */
	int listener = tcp_listener(0), next = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(listener == second + 1 && next == listener + 1);

	/* UDP and UNIX sockets work as ever. */
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(any);
	int udp = socket(AF_INET, SOCK_DGRAM, 0);
	CHECK(!bind(udp, (void *)&any, sizeof(any)));
	CHECK(!getsockname(udp, (void *)&any, &length));
	CHECK_FAILS(listen(udp, 1), EOPNOTSUPP);
	CHECK(get_int(udp, SOL_SOCKET, SO_REUSEPORT) == 0);
	CHECK(sendto(udp, "x", 1, 0, (void *)&any, sizeof(any)) == 1);
	CHECK(is_readable(udp, 1000));
	int name_socket = socket(AF_UNIX, SOCK_STREAM, 0), peer = socket(AF_UNIX, SOCK_STREAM, 0);
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	snprintf(name.sun_path + 1, 40, "behaviour-%d", getpid());
	length =
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name.sun_path + 1));
	CHECK(!bind(name_socket, (void *)&name, length));
	CHECK(!listen(name_socket, 5));
	CHECK(!connect(peer, (void *)&name, length));
	int accepted = accept(name_socket, NULL, NULL);
	CHECK(accepted >= 0 && write(peer, "x", 1) == 1 && is_readable(accepted, 1000));
}
