#include "shim/group/mailbox.h"
#include "shim/kernel/socket.h"
#include "shim/kernel/sys.h"
#include "shim/process/own_fd.h"
#include "shim/stat/stat.h"
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>

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

/* Reads the ledger's long list only where it changed. One thread at a time remembers what it read;
 * others have theirs, and one that never comes back leaves them with that. */
static bool is_watched(struct group *group, unsigned slot)
{
	uint32_t generation = group->ledger->generation;
	struct slot_set watched;

	if (group->generation == generation)
		return slot_in(&group->watched, slot);
	ledger_watched(group->ledger, &watched);
	if (!atomic_exchange(&group->remembering, true)) {
		for (unsigned w = 0; w < SLOTS_WORDS; w++)
			slot_set_word(&group->watched, w, watched.word[w]);
		group->generation = generation;
		group->remembering = false;
	}
	return slot_in(&watched, slot);
}

int mailbox_of(struct group *group, const struct slot_set *home, int accepted)
{
	int cpu;

	/* As long as no interface spreads, packets follow their senders. */
	if (!group->ledger->nic_count)
		return -1;
	cpu = socket_incoming_cpu(accepted);
	for (unsigned s = 0; s < group->slot_count; s++) {
		if (group->ledger->slot_cpu[s] != cpu)
			continue;
		bool is_ours = home && slot_in(home, s);
		return !is_ours && is_watched(group, s) ? (int)s : -1;
	}
	return -1;
}

bool mailbox_post(const struct group *group, unsigned slot, int accepted,
		  const struct letter *letter)
{
	char control[LETTER_CONTROL] __attribute__((aligned(8))) = {0};
	struct iovec data = {.iov_base = (void *)letter, .iov_len = sizeof(*letter)};
	struct msghdr message = {.msg_iov = &data,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
	int mailbox = group->member[group->slot_count + slot];

	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(rights), &accepted, sizeof(int));
	/* Where it is full, or too many descriptors are on their way: served here is served. */
	if (sys(SYS_sendmsg, mailbox, &message, MSG_NOSIGNAL | MSG_DONTWAIT) != sizeof(*letter))
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

/* What the kernel finds no number for when it delivers, it throws away; accept() would have left it
 * in the queue. */
static bool has_number_left(int mailbox)
{
	long spare = sys(SYS_fcntl, mailbox, F_DUPFD_CLOEXEC, 0);

	if (spare >= 0)
		sys(SYS_close, spare);
	return spare != -EMFILE;
}

int mailbox_take(const struct group *group, unsigned slot, int flags, struct letter *letter)
{
	char control[LETTER_CONTROL] __attribute__((aligned(8))) = {0};
	struct iovec data = {.iov_base = letter, .iov_len = sizeof(*letter)};
	struct msghdr message = {.msg_iov = &data,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	int close_on_exec = flags & SOCK_CLOEXEC ? MSG_CMSG_CLOEXEC : 0;
	int mailbox = group->member[slot];

	if (!has_number_left(mailbox)) {
		errno = mailbox_length(group, slot) ? EMFILE : EAGAIN;
		return -1;
	}
	long ret = sys(SYS_recvmsg, mailbox, &message, MSG_DONTWAIT | close_on_exec);
	struct cmsghdr *rights = ret == sizeof(*letter) ? CMSG_FIRSTHDR(&message) : NULL;
	if (!rights || rights->cmsg_type != SCM_RIGHTS) {
		errno = ret > 0 ? EMFILE : EAGAIN;
		return -1;
	}
	int accepted;
	memcpy(&accepted, CMSG_DATA(rights), sizeof(accepted));
	set_blocking_as(accepted, letter, flags);
	return accepted;
}

int mailbox_length(const struct group *group, unsigned slot)
{
	int bytes = 0;

	/* Of a socket that keeps messages apart it is the sum of them (unix_inq_len). */
	sys(SYS_ioctl, group->member[slot], FIONREAD, &bytes);
	return bytes / (int)sizeof(struct letter);
}
