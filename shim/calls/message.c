/* Listeners that come in a message: looked at on arrival, while the application may still hold the
 * privileges that making or asking for their group takes. */
#include "shim/calls/descriptor.h"
#include "shim/calls/real.h"
#include "shim/group/listener.h"
#include "shim/process/runtime.h"
#include <errno.h>
#include <string.h>

static void look_at(struct cmsghdr *rights)
{
	size_t count = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (size_t i = 0; i < count; i++) {
		int fd;
		memcpy(&fd, CMSG_DATA(rights) + i * sizeof(fd), sizeof(fd));
		descriptor_fresh(fd);
		fd_forget(fd);
		listener_of(fd);
	}
}

EXPORTED ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	ssize_t ret = real_recvmsg(fd, message, flags);

	if (ret < 0 || !message->msg_controllen || !runtime_on())
		return ret;
	int before = errno;
	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part))
		if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS)
			look_at(part);
	errno = before;
	return ret;
}
