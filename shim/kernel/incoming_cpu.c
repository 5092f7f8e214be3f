#include "shim/kernel/incoming_cpu.h"
#include "shim/kernel/poll.h"
#include "shim/kernel/socket.h"
#include "shim/kernel/sys.h"
#include <netinet/in.h>
#include <stddef.h>

/* A group of two that ignores the option is right by chance once in 2^16. */
#define PROOFS      16
#define TRIES       32
#define PATIENCE_MS 500 /* for a connection over loopback */

enum outcome { CONTRARY, PROOF, NO_EVIDENCE };

/* Two listeners on one port of loopback. */
struct pair {
	int fd[2];
	struct socket_address address;
};

static int listen_on(struct socket_address *address)
{
	int fd = (int)sys(SYS_socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int ret = fd < 0 ? fd : socket_set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);

	if (!ret)
		ret = (int)sys(SYS_bind, fd, &address->storage, address->length);
	if (!ret)
		ret = (int)sys(SYS_listen, fd, TRIES);
	if (!ret)
		ret = socket_local(fd, address);
	if (!ret)
		return fd;
	if (fd >= 0)
		sys(SYS_close, fd);
	return ret;
}

static void close_pair(const struct pair *pair)
{
	for (int i = 0; i < 2; i++)
		if (pair->fd[i] >= 0)
			sys(SYS_close, pair->fd[i]);
}

static bool open_pair(struct pair *pair)
{
	pair->address = (struct socket_address){.length = sizeof(struct sockaddr_in)};
	struct sockaddr_in *in = (struct sockaddr_in *)&pair->address.storage;
	*in = (struct sockaddr_in){.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	pair->fd[1] = -1;
	pair->fd[0] = listen_on(&pair->address);
	if (pair->fd[0] >= 0)
		pair->fd[1] = listen_on(&pair->address);
	if (pair->fd[1] >= 0)
		return true;
	close_pair(pair);
	return false;
}

/* The CPU that processed the connection which one of the two got; -1: none came. */
static int arrived_at(const struct pair *pair, int *which)
{
	struct pollfd poll[] = {{.fd = pair->fd[0], .events = POLLIN},
				{.fd = pair->fd[1], .events = POLLIN}};

	if (sys_poll(poll, 2, PATIENCE_MS) <= 0)
		return -1;
	*which = poll[1].revents & POLLIN ? 1 : 0;
	int accepted = (int)sys(SYS_accept4, pair->fd[*which], NULL, NULL, SOCK_CLOEXEC);
	if (accepted < 0)
		return -1;
	int cpu = socket_incoming_cpu(accepted);
	sys(SYS_close, accepted);
	return cpu;
}

/* A connection from this CPU, which the second listener prefers. Where it was processed elsewhere
 * (the thread moved, RPS) it says nothing. One that does not come in time ends the trial: whoever
 * calls listen() waits for it. */
static enum outcome try_once(const struct pair *pair)
{
	struct linger reset = {.l_onoff = 1};
	enum outcome outcome = NO_EVIDENCE;
	unsigned cpu = 0;
	int which = 0;

	sys(SYS_getcpu, &cpu, NULL, NULL);
	if (incoming_cpu_prefer(pair->fd[1], (int)cpu))
		return CONTRARY;
	int client = (int)sys(SYS_socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (client < 0)
		return CONTRARY;
	/* Leaves no TIME_WAIT behind. */
	socket_set(client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	long ret = sys(SYS_connect, client, &pair->address.storage, pair->address.length);
	int arrived = ret && ret != -EINPROGRESS ? -1 : arrived_at(pair, &which);
	if (arrived < 0 || (arrived == (int)cpu && !which))
		outcome = CONTRARY;
	else if (arrived == (int)cpu)
		outcome = PROOF;
	sys(SYS_close, client);
	return outcome;
}

bool incoming_cpu_is_honoured(void)
{
	struct pair pair;
	int proofs = 0;

	if (!open_pair(&pair))
		return false;
	for (int i = 0; i < TRIES && proofs < PROOFS; i++) {
		enum outcome outcome = try_once(&pair);
		if (outcome == CONTRARY)
			break;
		proofs += outcome == PROOF;
	}
	close_pair(&pair);
	return proofs == PROOFS;
}

int incoming_cpu_prefer(int fd, int cpu)
{
	return socket_set_int(fd, SOL_SOCKET, SO_INCOMING_CPU, cpu);
}
