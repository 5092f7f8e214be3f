#include "shim/connect/hold.h"
#include "shim/kernel/clock.h"
#include "shim/kernel/socket.h"
#include "shim/kernel/sys.h"
#include "shim/process/fd_table.h"
#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>

/* TIME_WAIT: closed sockets count until the end of the minute after the one they were closed in. */
#define MINUTE_MS    60000
#define BUDGET_SHARE 16

static _Atomic uint32_t held;      /* by sockets that are open */
static _Atomic uint32_t closed[2]; /* in minutes with an even and an odd number */
static _Atomic uint64_t minute;    /* the present one */

unsigned hold_budget(unsigned ports, unsigned cpus)
{
	unsigned budget = ports / BUDGET_SHARE / (cpus ? cpus : 1);

	return budget ? budget : 1;
}

/* Turns the page where a minute has passed. */
static void turn(uint64_t now_ms)
{
	uint64_t now = now_ms / MINUTE_MS, then = atomic_load(&minute);

	if (now == then || !atomic_compare_exchange_strong(&minute, &then, now))
		return;
	atomic_store(&closed[now % 2], 0);
	if (now != then + 1)
		atomic_store(&closed[(now + 1) % 2], 0);
}

static bool take_one(unsigned budget, uint64_t now_ms)
{
	turn(now_ms);
	if (atomic_fetch_add(&held, 1) + closed[0] + closed[1] < budget)
		return true;
	atomic_fetch_sub(&held, 1);
	return false;
}

static int bind_exclusively(int fd, uint16_t port)
{
	int reuse = socket_get_int(fd, SOL_SOCKET, SO_REUSEADDR, -1);
	struct socket_address address;
	int error = socket_local(fd, &address);

	if (error || reuse < 0 || socket_get_int(fd, SOL_SOCKET, SO_REUSEPORT, 1))
		return error ? error : -EOPNOTSUPP;
	/* The port stands at the same place in both families. */
	((struct sockaddr_in *)&address.storage)->sin_port = htons(port);
	/* With it, ports in TIME_WAIT and those of other such sockets would be given. */
	if (reuse)
		socket_set_int(fd, SOL_SOCKET, SO_REUSEADDR, 0);
	error = (int)sys(SYS_bind, fd, &address.storage, address.length);
	if (reuse)
		socket_set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	return error;
}

int hold_port(int fd, uint16_t port, unsigned budget, uint64_t now_ms)
{
	struct fd_word word = fd_get(fd);

	if (!take_one(budget, now_ms))
		return -EDQUOT;
	int error = bind_exclusively(fd, port);
	if (error)
		atomic_fetch_sub(&held, 1);
	else if (word.kind == FD_SOCKET)
		fd_swap(fd, word, FD_SOCKET, word.value | SOCKET_HELD);
	return error;
}

void hold_closing(void)
{
	uint32_t before = atomic_load(&held);

	while (before && !atomic_compare_exchange_weak(&held, &before, before - 1))
		;
	turn(clock_ms());
	atomic_fetch_add(&closed[minute % 2], 1);
}

void hold_forked(void)
{
	atomic_store(&held, 0);
	atomic_store(&closed[0], 0);
	atomic_store(&closed[1], 0);
}
