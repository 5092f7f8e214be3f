/* connect(): also how an application ends a socket's listening, with AF_UNSPEC. */
#include "shim/connect/connect.h"
#include "shim/calls/real.h"
#include "shim/connect/unseen.h"
#include "shim/group/listener.h"
#include "shim/kernel/pointer.h"
#include "shim/process/fd_table.h"
#include "shim/process/runtime.h"
#include "shim/stat/stat.h"

EXPORTED int connect(int fd, const struct sockaddr *address, socklen_t length)
{
	struct fd_word word = fd_get(fd);

	if (runtime_counts() && runtime_policy()->connect_steer && !stat_is_off() &&
	    may_point(address)) {
		if (word.kind == FD_UNKNOWN ||
		    (word.kind == FD_SOCKET && word.value & SOCKET_UNSEEN))
			word = unseen_look(fd, word);
		if (word.kind == FD_SOCKET)
			return connect_steered(fd, address, length, word.value, real_connect);
	}

	int ret = real_connect(fd, address, length);
	if (!ret && word.kind == FD_LISTENER)
		listener_stopped((int)word.value);
	return ret;
}
