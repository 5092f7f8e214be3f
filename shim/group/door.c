#include "shim/group/door.h"
#include "shim/kernel/poll.h"
#include "shim/kernel/sys.h"
#include "shim/process/own_fd.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>

#define DOOR_MAGIC 0x52535364u /* "RSSd" */
/* The kernel's SCM_MAX_FD is 253. */
#define DOOR_FDS_MAX 240
/* Callers that may queue while the application is busy. */
#define DOOR_BACKLOG 64

/* One message of an answer: with it come the ledger, the door and the first members, then in
 * further messages the other members. */
struct door_message {
	uint32_t magic, abi;
	uint32_t members; /* of the whole set */
};

static socklen_t door_name(struct sockaddr_un *name, const struct socket_place *place, int owner)
{
	static const char digit[] = "0123456789abcdef";
	const struct socket_address *address = &place->address;
	const struct sockaddr_in *in = (const struct sockaddr_in *)&address->storage;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address->storage;
	bool is6 = address->any.sa_family == AF_INET6;
	const uint8_t *bytes = is6 ? in6->sin6_addr.s6_addr : (const uint8_t *)&in->sin_addr;
	uint32_t words[] = {(uint32_t)owner, socket_port(address), place->device,
			    is6 ? in6->sin6_scope_id : 0};
	char *out = name->sun_path;

	memset(name, 0, sizeof(*name));
	name->sun_family = AF_UNIX;
	*out++ = '\0';
	memcpy(out, "rssshim-", 8);
	out += 8;
	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++, *out++ = '-')
		for (int shift = 28; shift >= 0; shift -= 4)
			*out++ = digit[words[i] >> shift & 15];
	for (int i = 0; i < (is6 ? 16 : 4); i++) {
		*out++ = digit[bytes[i] >> 4];
		*out++ = digit[bytes[i] & 15];
	}
	return (socklen_t)(out - (char *)name);
}

int door_open(const struct socket_place *place, int owner)
{
	struct sockaddr_un name;
	socklen_t length = door_name(&name, place, owner);
	int door = own_fd(
		(int)sys(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));

	if (door < 0)
		return door;
	int ret = (int)sys(SYS_bind, door, &name, length);
	if (!ret)
		return door;
	own_fd_close(door);
	return ret;
}

void door_start(int door)
{
	if (door >= 0)
		sys(SYS_listen, door, DOOR_BACKLOG);
}

/* Not inlined, nor is its counterpart: their rooms are on the stack one after the other. */
static __attribute__((noinline)) int send_fds(int peer, const struct door_message *message,
					      const int *fd, unsigned count)
{
	char control[CMSG_SPACE(DOOR_FDS_MAX * sizeof(int))] __attribute__((aligned(8))) = {0};
	struct iovec data = {.iov_base = (void *)message, .iov_len = sizeof(*message)};
	struct msghdr header = {.msg_iov = &data,
				.msg_iovlen = 1,
				.msg_control = control,
				.msg_controllen = CMSG_SPACE(count * sizeof(int))};
	struct cmsghdr *rights = CMSG_FIRSTHDR(&header);

	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(rights), fd, count * sizeof(int));
	long ret = sys(SYS_sendmsg, peer, &header, MSG_NOSIGNAL);
	return ret < 0 ? (int)ret : 0;
}

/* Receives one message with at most max descriptors, close-on-exec; more are closed.
 * Returns how many came, or -errno. */
static __attribute__((noinline)) int receive_fds(int peer, struct door_message *message, int *fd,
						 unsigned max, unsigned wait_ms)
{
	char control[CMSG_SPACE(DOOR_FDS_MAX * sizeof(int))] __attribute__((aligned(8)));
	struct iovec data = {.iov_base = message, .iov_len = sizeof(*message)};
	struct msghdr header = {.msg_iov = &data,
				.msg_iovlen = 1,
				.msg_control = control,
				.msg_controllen = sizeof(control)};
	struct pollfd poll = {.fd = peer, .events = POLLIN};
	unsigned count = 0;

	if (sys_poll(&poll, 1, (int)wait_ms) != 1)
		return -ETIMEDOUT;
	long ret = sys(SYS_recvmsg, peer, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (ret < 0)
		return (int)ret;
	for (struct cmsghdr *part = CMSG_FIRSTHDR(&header); part;
	     part = CMSG_NXTHDR(&header, part)) {
		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
			continue;
		size_t here = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < here; i++) {
			int got;
			memcpy(&got, CMSG_DATA(part) + i * sizeof(int), sizeof(got));
			if (count < max)
				fd[count++] = got;
			else
				sys(SYS_close, got);
		}
	}
	bool whole = ret == sizeof(*message) && message->magic == DOOR_MAGIC &&
		     message->abi == LEDGER_ABI && !(header.msg_flags & MSG_CTRUNC);
	for (unsigned i = 0; !whole && i < count; i++)
		sys(SYS_close, fd[i]);
	return whole ? (int)count : -EPROTO;
}

static bool is_user_allowed(int peer, int owner)
{
	struct ucred user = {.uid = (uid_t)-1};
	socklen_t length = sizeof(user);

	return !socket_get(peer, SOL_SOCKET, SO_PEERCRED, &user, &length) &&
	       (user.uid == (uid_t)owner || !user.uid || user.uid == (uid_t)sys(SYS_geteuid));
}

/* The caller shows that it listens there, too: a listener is as good as the set. A connection that
 * was accepted there has the same address, and may be given to anybody. */
static bool is_place_shown(int peer, const struct group *group)
{
	struct door_message question;
	struct socket_place place;
	int shown;

	if (receive_fds(peer, &question, &shown, 1, DOOR_WAIT_MS) != 1)
		return false;
	bool right = socket_may_listen(shown) && !socket_place(shown, &place) &&
		     socket_place_equal(&place, &group->place);
	sys(SYS_close, shown);
	return right;
}

void door_answer(const struct group *group)
{
	struct door_message answer = {
		.magic = DOOR_MAGIC, .abi = LEDGER_ABI, .members = group->member_count};
	int fd[2 + MEMBERS_MAX] = {group->ledger_fd, group->door};
	unsigned left = 2 + group->member_count;
	int peer = (int)sys(SYS_accept4, group->door, NULL, NULL, SOCK_CLOEXEC);

	if (peer < 0)
		return;
	memcpy(fd + 2, group->member, group->member_count * sizeof(int));
	if (is_user_allowed(peer, (int)group->ledger->owner_uid) && is_place_shown(peer, group)) {
		for (unsigned sent = 0; left; left -= sent) {
			sent = left < DOOR_FDS_MAX ? left : DOOR_FDS_MAX;
			if (send_fds(peer, &answer, fd + 2 + group->member_count - left, sent) < 0)
				break;
		}
	}
	sys(SYS_close, peer);
}

static struct group *receive_group(int peer, const struct socket_place *place, unsigned wait_ms,
				   int *error)
{
	struct door_message answer = {.members = MEMBERS_MAX};
	int fd[2 + MEMBERS_MAX];
	unsigned count = 0;

	*error = -EPROTO;
	do {
		int got = receive_fds(peer, &answer, fd + count, 2 + MEMBERS_MAX - count, wait_ms);
		if (got == -ETIMEDOUT)
			*error = got;
		if (got <= 0)
			break;
		for (unsigned end = count + (unsigned)got; count < end; count++)
			fd[count] = own_fd(fd[count]);
	} while (answer.members <= MEMBERS_MAX && count < 2 + answer.members);
	if (answer.members <= MEMBERS_MAX && count == 2 + answer.members)
		return group_take(fd[0], fd[1], answer.members, fd + 2, place);
	while (count)
		own_fd_close(fd[--count]);
	return NULL;
}

struct group *door_ask(int listener, unsigned wait_ms, int *error)
{
	struct door_message question = {.magic = DOOR_MAGIC, .abi = LEDGER_ABI};
	struct timeval patience = {.tv_usec = wait_ms * 1000};
	struct socket_place place;
	struct sockaddr_un name;
	struct group *group = NULL;
	int owner = socket_owner(listener);

	*error = -ENOENT;
	if (owner < 0 || socket_place(listener, &place) < 0)
		return NULL;
	int peer = (int)sys(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (peer < 0)
		return NULL;
	socket_set(peer, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	socklen_t length = door_name(&name, &place, owner);
	int ret = (int)sys(SYS_connect, peer, &name, length);
	if (ret == -EAGAIN)
		*error = -ETIMEDOUT; /* so many ask already */
	else if (!ret)
		*error = is_user_allowed(peer, owner) ? -EPROTO : -EACCES;
	if (*error == -EPROTO && !send_fds(peer, &question, &listener, 1))
		group = receive_group(peer, &place, wait_ms, error);
	sys(SYS_close, peer);
	return group;
}
