/* Descriptors in messages. Listeners that come are looked at on arrival, while the application may
 * still hold the privileges that making or asking for their group takes; of sockets that go, who
 * gets them sees the port that was bound. */
#include "shim/calls/descriptor.h"
#include "shim/calls/real.h"
#include "shim/connect/late_port.h"
#include "shim/group/listener.h"
#include "shim/process/runtime.h"
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

static void arrives(int fd)
{
	descriptor_fresh(fd);
	fd_forget(fd);
	listener_of(fd);
}

static void visit(const struct msghdr *message, struct cmsghdr *rights, void (*each)(int fd))
{
	size_t room =
		message->msg_controllen - (size_t)((char *)rights - (char *)message->msg_control);
	size_t count = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	/* The kernel refuses to send what is longer than it can be. */
	if (rights->cmsg_len < CMSG_LEN(0) || rights->cmsg_len > room)
		return;
	for (size_t i = 0; i < count; i++) {
		int fd;
		memcpy(&fd, CMSG_DATA(rights) + i * sizeof(fd), sizeof(fd));
		each(fd);
	}
}

static void visit_all(struct msghdr *message, void (*each)(int fd))
{
	int before = errno;

	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part))
		if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS)
			visit(message, part, each);
	errno = before;
}

EXPORTED ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	ssize_t ret = real_recvmsg(fd, message, flags);

	if (ret < 0 || !message->msg_controllen || !runtime_on())
		return ret;
	visit_all(message, arrives);
	return ret;
}

EXPORTED ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	if (late_port_any() && message && message->msg_control)
		visit_all((struct msghdr *)message, late_port_settle);
	return real_sendmsg(fd, message, flags);
}

EXPORTED int sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags)
{
	if (late_port_any() && messages)
		for (unsigned int i = 0; i < count && i < UIO_MAXIOV; i++)
			if (messages[i].msg_hdr.msg_control)
				visit_all(&messages[i].msg_hdr, late_port_settle);
	return real_sendmmsg(fd, messages, count, flags);
}
