#include "shim/group/mailbox.h"
#include "shim/kernel/socket.h"
#include "shim/kernel/sys.h"
#include "shim/process/own_fd.h"
#include "shim/stat/stat.h"
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>

/* What comes with a descriptor: the flags of the accept4() that made it. */
struct letter {
	int flags;
};

#define LETTER_CONTROL CMSG_SPACE(sizeof(int))

static int make_pair(int pair[2])
{
	int ret = (int)sys(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC,
			   0, pair);

	if (ret < 0)
		return ret;
	pair[0] = own_fd(pair[0]);
	pair[1] = own_fd(pair[1]);
	if (pair[0] >= 0 && pair[1] >= 0)
		return 0;
	ret = pair[0] < 0 ? pair[0] : pair[1];
	own_fd_close(pair[0]);
	own_fd_close(pair[1]);
	return ret;
}

int mailbox_make(struct group *group)
{
	unsigned slots = group->ledger->slot_count;
	int pair[2], ret = 0;

	for (unsigned s = 0; s < 2 * slots; s++)
		group->member[s] = -1;
	group->slot_count = slots;
	group->member_count = 2 * slots;
	for (unsigned s = 0; !ret && s < slots; s++) {
		ret = make_pair(pair);
		if (!ret) {
			group->member[s] = pair[0];
			group->member[slots + s] = pair[1];
		}
	}
	return ret;
}

/* The slot of a CPU that a live worker watches, -1 none. */
static int slot_of_cpu(struct group *group, int cpu)
{
	uint32_t generation = group->ledger->generation;

	/* As long as no interface spreads, packets follow their senders. */
	if (!group->ledger->nic_count)
		return -1;
	if (group->generation != generation) {
		ledger_watched(group->ledger, &group->watched);
		group->generation = generation;
	}
	for (unsigned s = 0; s < group->slot_count; s++)
		if (group->ledger->slot_cpu[s] == cpu)
			return slot_in(&group->watched, s) ? (int)s : -1;
	return -1;
}

static bool post(int mailbox, int accepted, int flags)
{
	char control[LETTER_CONTROL] __attribute__((aligned(8))) = {0};
	struct letter letter = {.flags = flags};
	struct iovec data = {.iov_base = &letter, .iov_len = sizeof(letter)};
	struct msghdr message = {.msg_iov = &data,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	struct cmsghdr *rights = CMSG_FIRSTHDR(&message);

	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(rights), &accepted, sizeof(int));
	return sys(SYS_sendmsg, mailbox, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof(letter);
}

bool mailbox_offer(struct group *group, const struct slot_set *home, int accepted, int flags)
{
	int slot = slot_of_cpu(group, socket_incoming_cpu(accepted));

	/* A full mailbox, or too many descriptors on their way: served here is served. */
	if (slot < 0 || (home && slot_in(home, (unsigned)slot)) ||
	    !post(group->member[group->slot_count + (unsigned)slot], accepted, flags))
		return false;
	sys(SYS_close, accepted);
	stat_count(STAT_MIGRATE_HANDED);
	return true;
}

/* The state of the open file came with it; only where the two calls differ it must be changed. */
static void set_blocking_as(int fd, const struct letter *letter, int flags)
{
	if (!((letter->flags ^ flags) & SOCK_NONBLOCK))
		return;
	long now = sys(SYS_fcntl, fd, F_GETFL);
	if (now >= 0)
		sys(SYS_fcntl, fd, F_SETFL,
		    flags & SOCK_NONBLOCK ? now | O_NONBLOCK : now & ~(long)O_NONBLOCK);
}

int mailbox_take(const struct group *group, unsigned slot, struct sockaddr *address,
		 socklen_t *length, int flags)
{
	char control[LETTER_CONTROL] __attribute__((aligned(8))) = {0};
	struct letter letter = {0};
	struct iovec data = {.iov_base = &letter, .iov_len = sizeof(letter)};
	struct msghdr message = {.msg_iov = &data,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	int close_on_exec = flags & SOCK_CLOEXEC ? MSG_CMSG_CLOEXEC : 0;
	long ret = sys(SYS_recvmsg, group->member[slot], &message, MSG_DONTWAIT | close_on_exec);
	struct cmsghdr *rights = ret > 0 ? CMSG_FIRSTHDR(&message) : NULL;

	if (!rights || rights->cmsg_type != SCM_RIGHTS) {
		errno = EAGAIN;
		return -1;
	}
	int accepted;
	memcpy(&accepted, CMSG_DATA(rights), sizeof(accepted));
	set_blocking_as(accepted, &letter, flags);
	if (address)
		sys(SYS_getpeername, accepted, address, length);
	return accepted;
}
