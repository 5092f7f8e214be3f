/* Rows of calls on sockets: those that make connections, and those that are refused or cheap. */
#include "tests/bench/wrappers/wrappers.h"
#include <netinet/tcp.h>
#include <sys/un.h>

/* What a round of accept() or connect() has: a connection a call. */
static int outside[CALLS], inside[CALLS], next_one;

static void make_outside(void)
{
	next_one = 0;
	for (int i = 0; i < CALLS; i++)
		outside[i] = socket(AF_INET, SOCK_STREAM, 0);
}

static void make_waiting(void)
{
	make_outside();
	for (int i = 0; i < CALLS; i++)
		if (calls[0].connect(outside[i], (void *)&listener_name, sizeof(listener_name)))
			die("connect");
}

static void accept_made(void)
{
	for (int i = 0; i < CALLS; i++)
		if ((inside[i] = calls[0].accept(tcp_listener, NULL, NULL)) < 0)
			die("accept");
}

/* No TIME_WAIT, which would use the ports up. */
static void reset_all(void)
{
	struct linger at_once = {.l_onoff = 1};

	for (int i = 0; i < CALLS; i++) {
		if (inside[i] < 0)
			die("accept");
		setsockopt(outside[i], SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		close(outside[i]);
		close(inside[i]);
	}
}

static void accept_and_reset(void)
{
	accept_made();
	reset_all();
}

static void accept_one(const struct calls *by)
{
	inside[next_one++] = by->accept(tcp_listener, NULL, NULL);
}

static void accept4_one(const struct calls *by)
{
	inside[next_one++] = by->accept4(tcp_listener, NULL, NULL, SOCK_CLOEXEC);
}

static void connect_one(const struct calls *by)
{
	by->connect(outside[next_one++], (void *)&listener_name, sizeof(listener_name));
}

static void accept_none(const struct calls *by)
{
	by->accept4(event_fd, NULL, NULL, 0);
}

static void connect_refused(const struct calls *by)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};

	by->connect(event_fd, (void *)&name, sizeof(name));
}

static void connect_tcp_refused(const struct calls *by)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};

	by->connect(tcp_listener, (void *)&name, sizeof(name));
}

static void socket_refused(const struct calls *by)
{
	by->socket(AF_UNIX, 99, 0);
}

static void socket_and_close(const struct calls *by)
{
	by->close(by->socket(AF_INET, SOCK_STREAM, 0));
}

static void bind_again(const struct calls *by)
{
	struct sockaddr_in any = {.sin_family = AF_INET};

	by->bind(tcp_listener, (void *)&any, sizeof(any)); /* EINVAL: it has an address */
}

static void listen_unix(const struct calls *by)
{
	by->listen(unix_listener, 5);
}

static void set_option(const struct calls *by)
{
	int on = 1;

	by->setsockopt(tcp_socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static void get_option(const struct calls *by)
{
	int on;
	socklen_t length = sizeof(on);

	by->getsockopt(tcp_socket, IPPROTO_TCP, TCP_NODELAY, &on, &length);
}

static void receive_none(const struct calls *by)
{
	struct msghdr none = {0};

	by->recvmsg(unix_socket, &none, MSG_DONTWAIT);
}

static void shut_down(const struct calls *by)
{
	by->shutdown(unix_socket, SHUT_RDWR);
}

static const struct row rows[] = {
	{"accept, loopback", accept_one, make_waiting, reset_all},
	{"accept4, loopback", accept4_one, make_waiting, reset_all},
	{"connect, loopback", connect_one, make_outside, accept_and_reset},
	{"accept4, refused", accept_none, NULL, NULL},
	{"connect, refused", connect_refused, NULL, NULL},
	{"connect, TCP, refused", connect_tcp_refused, NULL, NULL},
	{"socket, refused", socket_refused, NULL, NULL},
	{"socket and close, TCP", socket_and_close, NULL, NULL},
	{"bind, refused", bind_again, NULL, NULL},
	{"listen, Unix", listen_unix, NULL, NULL},
	{"setsockopt, TCP", set_option, NULL, NULL},
	{"getsockopt, TCP", get_option, NULL, NULL},
	{"recvmsg, none there", receive_none, NULL, NULL},
	{"shutdown, refused", shut_down, NULL, NULL},
};
const struct rows socket_rows = {rows, sizeof(rows) / sizeof(rows[0])};
