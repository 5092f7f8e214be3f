/* connect() on a socket that is connecting, is connected, was refused or was disconnected: what
 * each says, and that another connection can be made of it where plain Linux allows that. */
#include "tests/behaviour/behaviour.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif

static struct sockaddr_in to, nobody, silent;
static const struct sockaddr none = {.sa_family = AF_UNSPEC};

static int call(int fd, const struct sockaddr_in *address)
{
	return connect(fd, (const void *)address, sizeof(*address));
}

/* What the shim asks of the kernel for a connect is not to be seen afterwards. */
static void untouched(int fd)
{
	CHECK(get_int(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE) <= 0);
	CHECK(get_int(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT) == 0);
}

static void finish(int fd)
{
	struct pollfd writable = {.fd = fd, .events = POLLOUT};

	CHECK(poll(&writable, 1, 3000) == 1);
	CHECK(get_int(fd, SOL_SOCKET, SO_ERROR) == 0);
	CHECK(is_home(fd, 0));
	untouched(fd);
	/* Once it may be told that it is connected. */
	int ret = call(fd, &to);
	CHECK(!ret || errno == EISCONN);
	CHECK_FAILS(call(fd, &to), EISCONN);
	CHECK_FAILS(call(fd, &nobody), EISCONN);
	untouched(fd);
}

/* connect() that does not wait: 0 or EINPROGRESS. */
static void begin(int fd)
{
	int ret = call(fd, &to);

	CHECK(!ret || errno == EINPROGRESS);
	if (ret) {
		ret = call(fd, &to);
		CHECK(!ret || errno == EALREADY || errno == EISCONN);
	}
	finish(fd);
}

static void blocking(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	CHECK_FAILS(call(fd, &nobody), ECONNREFUSED);
	untouched(fd);
	CHECK_FAILS(call(fd, &nobody), ECONNREFUSED);
	CHECK(!call(fd, &to));
	finish(fd);
	for (int i = 0; i < 3; i++) {
		CHECK(!connect(fd, &none, sizeof(none)));
		untouched(fd);
		CHECK(!call(fd, &to));
		finish(fd);
	}
	close(fd);
}

static void nonblocking(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct pollfd ready = {.fd = fd, .events = POLLOUT};

	begin(fd);
	for (int i = 0; i < 3; i++) {
		CHECK(!connect(fd, &none, sizeof(none)));
		begin(fd);
	}
	close(fd);
	fd = ready.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	CHECK(call(fd, &nobody) && (errno == EINPROGRESS || errno == ECONNREFUSED));
	if (errno == EINPROGRESS) {
		CHECK(poll(&ready, 1, 3000) == 1);
		/* The error of the first is the result of the second. */
		CHECK_FAILS(call(fd, &to), ECONNREFUSED);
	}
	untouched(fd);
	begin(fd);
	close(fd);
}

/* While nobody answers it is under way. */
static void under_way(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	CHECK_FAILS(call(fd, &silent), EINPROGRESS);
	untouched(fd);
	for (int i = 0; i < 3; i++) {
		CHECK_FAILS(call(fd, &silent), EALREADY);
		CHECK_FAILS(call(fd, &to), EALREADY);
		untouched(fd);
	}
	/* Given up for another one. */
	CHECK(!connect(fd, &none, sizeof(none)));
	begin(fd);
	close(fd);
}

/* An address of its own stays through all that, and so does a port. */
static void bound(bool without_port, int port)
{
	struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)}, now;
	int fd = socket(AF_INET, SOCK_STREAM, 0), probe = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t length = sizeof(own);

	CHECK(!call(probe, &to) && !getsockname(probe, (void *)&now, &length));
	own.sin_addr = now.sin_addr;
	close(probe);
	if (without_port)
		CHECK(!set_int(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1));
	CHECK(!bind(fd, (void *)&own, sizeof(own)));
	CHECK_FAILS(call(fd, &nobody), ECONNREFUSED);
	for (int i = 0; i < 8; i++) {
		CHECK(!call(fd, &to));
		CHECK(port || is_home(fd, 0));
		length = sizeof(now);
		CHECK(!getsockname(fd, (void *)&now, &length));
		CHECK(now.sin_addr.s_addr == own.sin_addr.s_addr && now.sin_port);
		CHECK(!port || ntohs(now.sin_port) == port);
		CHECK(get_int(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT) == without_port);
		CHECK(get_int(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE) <= 0);
		CHECK(!connect(fd, &none, sizeof(none)));
	}
	close(fd);
}

/* The application's own range is kept, and read back. */
static void own_range(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), range = 47999 << 16 | 47000, port;

	if (set_int(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, range)) {
		close(fd);
		return;
	}
	for (int i = 0; i < 3; i++) {
		CHECK(!call(fd, &to));
		CHECK((port = port_of(fd)) >= 47000 && port <= 47999);
		CHECK(get_int(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE) == range);
		CHECK(!connect(fd, &none, sizeof(none)));
	}
	CHECK(!set_int(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, 0));
	CHECK(!call(fd, &to));
	finish(fd);
	close(fd);
}

/* Sockets that are none of TCP's are left alone. */
static void others(void)
{
	static const int protocols[] = {262 /* MPTCP */, IPPROTO_SCTP};

	for (int i = 0; i < 2; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, protocols[i]);
		if (fd < 0)
			continue;
		int ret = call(fd, &to);
		CHECK(!ret || protocols[i] == IPPROTO_SCTP);
		CHECK(get_int(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE) <= 0);
		close(fd);
	}
	int udp = socket(AF_INET, SOCK_DGRAM, 0);
	CHECK(!call(udp, &to) && !connect(udp, &none, sizeof(none)) && !call(udp, &to));
	CHECK(get_int(udp, IPPROTO_IP, IP_LOCAL_PORT_RANGE) <= 0);
	close(udp);
}

/* Data with the SYN makes the connection, with no connect() at all. */
static void data_first(bool to_own_address)
{
	struct sockaddr_in own = {.sin_family = AF_INET}, now;
	int fd = socket(AF_INET, SOCK_STREAM, 0), probe = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t length = sizeof(own);
	struct iovec data = {.iov_base = "hello", .iov_len = 5};
	struct mmsghdr message = {.msg_hdr = {.msg_name = &to,
					      .msg_namelen = sizeof(to),
					      .msg_iov = &data,
					      .msg_iovlen = 1}};

	CHECK(!call(probe, &to) && !getsockname(probe, (void *)&now, &length));
	own.sin_addr = now.sin_addr;
	close(probe);
	for (int way = 0; way < 3; way++) {
		if (to_own_address)
			CHECK(!bind(fd, (void *)&own, sizeof(own)));
		if (way == 0)
			CHECK(sendto(fd, "hello", 5, MSG_FASTOPEN, (void *)&to, sizeof(to)) == 5);
		else if (way == 1)
			CHECK(sendmsg(fd, &message.msg_hdr, MSG_FASTOPEN) == 5);
		else
			CHECK(sendmmsg(fd, &message, 1, MSG_FASTOPEN) == 1 && message.msg_len == 5);
		length = sizeof(now);
		CHECK(!getpeername(fd, (void *)&now, &length) && now.sin_port == to.sin_port);
		CHECK(port_of(fd) > 0);
		CHECK_FAILS(call(fd, &to), EISCONN);
		untouched(fd);
		close(fd);
		fd = socket(AF_INET, SOCK_STREAM, 0);
	}
	close(fd);
}

void behaviour(void)
{
	int server = peer_listener(&to);

	nobody = silent = to;
	nobody.sin_port = htons(1);
	inet_pton(AF_INET, getenv("BEHAVIOUR_PEER") ? "10.99.0.77" : "192.0.2.77",
		  &silent.sin_addr);
	blocking();
	nonblocking();
	if (getenv("BEHAVIOUR_PEER"))
		under_way();
	bound(false, 0);
	bound(true, 0);
	bound(false, 18765);
	own_range();
	others();
	data_first(false);
	data_first(true);
	gone(server);
}
