/* Sockets that listen: socket, bind, listen, shutdown and their options. */
#include "shim/calls/descriptor.h"
#include "shim/calls/real.h"
#include "shim/connect/destination.h"
#include "shim/connect/late_port.h"
#include "shim/group/listener.h"
#include "shim/kernel/pointer.h"
#include "shim/kernel/socket.h"
#include "shim/kernel/uncopyable.h"
#include "shim/process/runtime.h"
#include "shim/stat/observe.h"
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

static bool is_tcp(int domain, int type, int protocol)
{
	return (domain == AF_INET || domain == AF_INET6) &&
	       (type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) == SOCK_STREAM &&
	       (!protocol || protocol == IPPROTO_TCP);
}

EXPORTED int socket(int domain, int type, int protocol)
{
	int fd = real_socket(domain, type, protocol);

	if (fd < 0 || !runtime_counts())
		return fd;
	descriptor_fresh(fd);
	if (is_tcp(domain, type, protocol)) {
		runtime_discover();
		fd_set_word(fd, FD_SOCKET, 0);
	} else {
		fd_set_word(fd, FD_PLAIN, 0);
	}
	return fd;
}

/* For connect(): what it would have to ask the kernel about otherwise. */
static void note(int fd, uint32_t bits)
{
	struct fd_word word = fd_get(fd);

	if (word.kind == FD_SOCKET && (word.value & bits) != bits)
		fd_swap(fd, word, FD_SOCKET, word.value | bits);
}

static void note_if_same(int fd, uint32_t value, void *cookie)
{
	(void)value;
	if (socket_cookie(fd) == *(uint64_t *)cookie)
		note(fd, SOCKET_UNIQUE);
}

/* Of all its numbers: it may listen by another. */
static void note_unique(int fd)
{
	struct fd_word word = fd_get(fd);
	uint64_t cookie = socket_cookie(fd);

	/* Where the socket came unseen, who knows what else was done to it. */
	if (word.kind == FD_UNKNOWN || word.kind == FD_PLAIN)
		fd_swap(fd, word, FD_SOCKET, SOCKET_APPLICATION);
	fd_for_each(FD_SOCKET, note_if_same, &cookie);
}

/* 0 takes a range away. */
static void note_range(int fd, const void *value)
{
	struct fd_word word = fd_get(fd);
	uint32_t range;

	memcpy(&range, value, sizeof(range));
	if (range)
		note(fd, SOCKET_RANGE);
	else if (word.kind == FD_SOCKET && word.value & SOCKET_RANGE)
		fd_swap(fd, word, FD_SOCKET, word.value & ~SOCKET_RANGE);
}

static void note_option(int fd, int level, int name, const void *value, socklen_t length)
{
	if (uncopyable_option(level, name))
		note_unique(fd);
	else if (level == IPPROTO_IP && name == IP_LOCAL_PORT_RANGE_OPTION &&
		 length >= sizeof(uint32_t))
		note_range(fd, value);
	else if (level == SOL_SOCKET && name == SO_MARK)
		note(fd, SOCKET_MARK);
	else if (level == SOL_SOCKET &&
		 (name == SO_BINDTODEVICE || name == SO_BINDTOIFINDEX_OPTION))
		note(fd, SOCKET_DEVICE);
	else if ((level == IPPROTO_IP && name == IP_TOS) ||
		 (level == IPPROTO_IPV6 && name == IPV6_TCLASS))
		note(fd, SOCKET_TOS);
}

EXPORTED int bind(int fd, const struct sockaddr *address, socklen_t length)
{
	uint8_t local[16];

	if (!may_point(address))
		return real_bind(fd, address, length);
	if (runtime_on() && runtime_policy()->listen_share)
		listener_share(fd, address, length);
	late_port_settle(fd);
	bool late = late_port_begin(fd, address, length);
	int ret = real_bind(fd, address, length);
	if (late)
		late_port_end(fd, !ret);
	else if (!ret && fd_get(fd).kind == FD_SOCKET)
		note(fd, destination_local(address, local) ? SOCKET_PORT : SOCKET_ADDRESS);
	return ret;
}

EXPORTED int getsockname(int fd, struct sockaddr *address, socklen_t *length)
{
	late_port_settle(fd);
	return real_getsockname(fd, address, length);
}

EXPORTED int listen(int fd, int backlog)
{
	/* socket() saw that it is none of TCP's, or it is known otherwise. */
	if (fd_get(fd).kind == FD_PLAIN)
		return real_listen(fd, backlog);
	late_port_settle(fd);
	if (runtime_on())
		return listener_listen(fd, backlog, real_listen);
	int ret = real_listen(fd, backlog);
	if (!ret && runtime_counts())
		observe_listening(fd, "observe mode: nothing is touched");
	return ret;
}

EXPORTED int shutdown(int fd, int how)
{
	int listener = listener_known(fd);

	if (listener < 0)
		return real_shutdown(fd, how);
	int ret = real_shutdown(fd, how);
	if (!ret && how != SHUT_WR)
		listener_stopped(listener);
	return ret;
}

EXPORTED int setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
	int ret = real_setsockopt(fd, level, name, value, length), listener = -1;
	/* One that has just arrived may have a group elsewhere, to be told of it. */
	if (!ret && runtime_on())
		listener = listener_of(fd);
	if (!ret && listener >= 0)
		listener_option_set(listener, fd, level, name, value, length);
	else if (!ret)
		note_option(fd, level, name, value, length);
	return ret;
}

EXPORTED int getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
	int listener = listener_known(fd);

	if (listener < 0)
		return real_getsockopt(fd, level, name, value, length);
	int ret = real_getsockopt(fd, level, name, value, length);
	if (!ret)
		listener_option_read(listener, level, name, value, length);
	return ret;
}
