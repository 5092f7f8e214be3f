#include "shim/connect/established.h"
#include "shim/connect/destination.h"
#include "shim/kernel/socket.h"
#include "shim/kernel/sys.h"
#include <string.h>

bool established_flow(int fd, struct flow *flow)
{
	struct socket_address address = {.length = sizeof(address.storage)};

	memset(flow, 0, sizeof(*flow));
	/* Only of a connection that is there: not while it is under way, nor after a reset. */
	if (sys(SYS_getpeername, fd, &address.storage, &address.length) < 0)
		return false;
	flow->family = address.any.sa_family == AF_INET6 ? AF_INET6 : AF_INET;
	if (flow->family == AF_INET6 &&
	    IN6_IS_ADDR_V4MAPPED(&((struct sockaddr_in6 *)&address.storage)->sin6_addr))
		flow->family = AF_INET;
	flow->remote_port = destination_local(&address.any, flow->remote);
	return !socket_local(fd, &address) &&
	       (flow->local_port = destination_local(&address.any, flow->local));
}
