#include "shim/connect/late_port.h"
#include "shim/connect/aim.h"
#include "shim/connect/destination.h"
#include "shim/connect/outgoing.h"
#include "shim/kernel/clock.h"
#include "shim/kernel/socket.h"
#include "shim/kernel/sys.h"
#include "shim/process/fd_table.h"
#include "shim/process/runtime.h"
#include "shim/stat/stat.h"
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

_Atomic bool late_port_used;

bool late_port_begin(int fd, const struct sockaddr *address, socklen_t length)
{
	struct fd_word word = fd_get(fd);
	struct destination self;

	if (word.kind != FD_SOCKET || !runtime_on() || !runtime_policy()->connect_steer ||
	    stat_is_off() ||
	    word.value & (SOCKET_UNSEEN | SOCKET_PORT | SOCKET_ADDRESS | SOCKET_CALLED))
		return false;
	/* What is no usable address of a destination is none of a source either. */
	if (!destination_parse(address, length, &self) || self.flow.remote_port)
		return false;
	uint64_t now = clock_ms();
	const struct uplinks *uplinks = outgoing_uplinks(now);
	if (!uplinks || aim_is_homeless(uplinks, home_of_thread(now)))
		return false;
	return !socket_get_int(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1) &&
	       !socket_set_int(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
}

void late_port_end(int fd, bool bound)
{
	struct fd_word word = fd_get(fd);

	/* Only bind() looks at it. */
	socket_set_int(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 0);
	if (!bound || word.kind != FD_SOCKET)
		return;
	if (!late_port_any())
		late_port_used = true;
	fd_swap(fd, word, FD_SOCKET, word.value | SOCKET_ADDRESS | SOCKET_LATE_PORT);
}

/* Without a port the kernel lets the same address be bound again; with one it is EINVAL, and
 * nothing has changed: another thread, or a process that shares the socket, was first. */
static void settle(int fd, uint32_t value, void *unused)
{
	struct fd_word word = {.kind = FD_SOCKET, .value = value};
	static const uint8_t any[16];
	struct socket_address address;
	uint8_t local[16];

	(void)unused;
	if (!(value & SOCKET_LATE_PORT))
		return;
	/* The number may stand for something else by now. What has an address and no port is ours:
	 * others that have none are bound to no address either. */
	if (!socket_local(fd, &address) && !destination_local(&address.any, local) &&
	    memcmp(local, any, sizeof(any)) && socket_is_tcp(fd))
		sys(SYS_bind, fd, &address.storage, address.length);
	fd_swap(fd, word, FD_SOCKET, value & ~SOCKET_LATE_PORT);
}

void late_port_settle(int fd)
{
	struct fd_word word = fd_get(fd);

	if (word.kind == FD_SOCKET)
		settle(fd, word.value, NULL);
}

void late_port_settle_all(void)
{
	if (late_port_any())
		fd_for_each(FD_SOCKET, settle, NULL);
}
