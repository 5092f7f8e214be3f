/* bind() to an address and port 0.
 *
 * The kernel gives such a socket a port at once, long before anyone knows the destination that it
 * would have to fit, and no later call changes it. So where connects are steered, the address alone
 * is bound, in the way of IP_BIND_ADDRESS_NO_PORT, and connect() chooses the port. Whoever wants to
 * see the port before, or to listen on it, makes the kernel give it then. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/socket.h>

/* Around the bind() of an application: whether the port of this one is to wait, and how it went. */
bool late_port_begin(int fd, const struct sockaddr *address, socklen_t length);
void late_port_end(int fd, bool bound);

/* Before a call that shows the port or needs it: getsockname(), listen(), another bind(), or
 * hands the socket to another process. A load and a branch for a socket that does not wait for one.
 */
void late_port_settle(int fd);

/* Whether any port of this process ever waited. */
extern _Atomic bool late_port_used;
static inline bool late_port_any(void)
{
	return atomic_load_explicit(&late_port_used, memory_order_relaxed);
}

/* Before another program starts: it may not be ours. */
void late_port_settle_all(void);
