/* connect(): also how an application ends a socket's listening, with AF_UNSPEC. */
#include "shim/calls/real.h"
#include "shim/group/listener.h"

EXPORTED int connect(int fd, const struct sockaddr *address, socklen_t length)
{
	int ret = real_connect(fd, address, length), listener = listener_known(fd);

	if (!ret && listener >= 0)
		listener_stopped(listener);
	return ret;
}
