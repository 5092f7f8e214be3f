/* Descriptors that are closed or copied. Ours are not there for the application: it cannot close
 * them, and where it wants one of their numbers they move away. */
#include "shim/calls/descriptor.h"
#include "shim/calls/real.h"
#include "shim/connect/hold.h"
#include "shim/connect/witness.h"
#include "shim/group/listener.h"
#include "shim/group/watch.h"
#include "shim/kernel/procfs.h"
#include "shim/kernel/sys.h"
#include "shim/process/own_fd.h"
#include "shim/process/runtime.h"
#include "shim/process/self.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Of Linux 5.9 and 5.11, and of glibc 2.34: older headers do not have them. */
#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE (1 << 1)
#endif
#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1 << 2)
#endif
#if !__GLIBC_PREREQ(2, 34)
int close_range(unsigned int first, unsigned int last, int flags);
void closefrom(int first);
#endif

/* Of what a vfork child closes its parent may have to know. To forget one of these does no harm: it
 * is looked at again. */
static bool is_light(struct fd_word word)
{
	return word.kind == FD_UNKNOWN || word.kind == FD_PLAIN || word.kind == FD_INSTANCE ||
	       (word.kind == FD_SOCKET &&
		!(word.value & (SOCKET_UNIQUE | SOCKET_WATCHED | SOCKET_LATE_PORT | SOCKET_HELD)));
}

void descriptor_leave(int fd, struct fd_word word)
{
	if (!is_light(word) && self_is_borrowed())
		return;
	if (word.kind == FD_LISTENER)
		listener_close(fd);
	else if (word.kind == FD_EPOLL)
		watch_closed(word.value, fd);
	else if (word.kind == FD_SOCKET && word.value & SOCKET_WATCHED)
		witness_closing(fd, word.value);
	if (word.kind == FD_SOCKET && word.value & SOCKET_HELD)
		hold_closing();
	fd_forget(fd);
}

EXPORTED int close(int fd)
{
	struct fd_word word = fd_get(fd);

	if (word.kind == FD_OURS && own_fd_holds(fd)) {
		errno = EBADF;
		return -1;
	}
	migrate_closing(fd);
	if (word.kind != FD_UNKNOWN)
		descriptor_leave(fd, word);
	return real_close(fd);
}

/* After a successful copy. What still stands at that number is the parent's of a vfork child. */
static int copied(int fd, struct fd_word word, int to)
{
	if (to < 0 || (!is_light(fd_get(to)) && self_is_borrowed()))
		return to;
	descriptor_fresh(to);
	migrate_copied(fd, to);
	if (word.kind == FD_LISTENER)
		listener_duplicated((int)word.value, to);
	else if (word.kind == FD_EPOLL)
		watch_duplicated(word.value, to);
	else if (word.kind == FD_INSTANCE)
		watch_copied(fd, to);
	else if (word.kind == FD_SOCKET)
		/* To be looked at, and counted, once. */
		fd_set_word(to, word.kind, word.value & (SOCKET_APPLICATION | SOCKET_LATE_PORT));
	else if (word.kind == FD_PLAIN)
		fd_set_word(to, word.kind, word.value);
	return to;
}

EXPORTED int dup(int fd)
{
	return copied(fd, fd_get(fd), real_dup(fd));
}

/* What the kernel asks before it closes what stands at the number. */
static bool can_copy(int fd, int to, int flags)
{
	struct rlimit limit = {.rlim_cur = RLIM_INFINITY};

	sys(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit);
	return !(flags & ~O_CLOEXEC) && to >= 0 && (rlim_t)to < limit.rlim_cur &&
	       sys(SYS_fcntl, fd, F_GETFD) >= 0;
}

/* Makes room for a copy under a number of the application's choice. */
static void make_room(int fd, int to, int flags)
{
	struct fd_word word = fd_get(to);

	if (fd == to)
		return;
	/* A call that is going to fail must leave all as it is. */
	if ((!is_light(word) || migrate_is_on) && !can_copy(fd, to, flags))
		return;
	migrate_closing(to);
	if (word.kind == FD_OURS)
		watch_move_descriptor(to);
	else if (word.kind != FD_UNKNOWN)
		descriptor_leave(to, word);
}

/* Of a copy like that nothing has to be known: it is looked at when it is used. So all is done
 * before the call. */
static bool is_copied_unseen(struct fd_word word, int to)
{
	enum fd_kind there = fd_get(to).kind;

	return !migrate_is_on &&
	       (word.kind == FD_UNKNOWN || (word.kind == FD_PLAIN && !word.value)) &&
	       (there == FD_UNKNOWN || there == FD_PLAIN);
}

EXPORTED int dup2(int fd, int to)
{
	struct fd_word word = fd_get(fd);

	if (is_copied_unseen(word, to)) {
		if (fd != to)
			fd_forget(to);
		return real_dup2(fd, to);
	}
	make_room(fd, to, 0);
	int ret = real_dup2(fd, to);
	return fd == to ? ret : copied(fd, word, ret);
}

EXPORTED int dup3(int fd, int to, int flags)
{
	struct fd_word word = fd_get(fd);

	make_room(fd, to, flags);
	return copied(fd, word, real_dup3(fd, to, flags));
}

static int duplicating(int (*real)(int, int, ...), int fd, int command, long argument)
{
	int ret = real(fd, command, argument);

	return command == F_DUPFD || command == F_DUPFD_CLOEXEC ? copied(fd, fd_get(fd), ret) : ret;
}

EXPORTED int fcntl(int fd, int command, ...)
{
	va_list more;

	va_start(more, command);
	long argument = va_arg(more, long);
	va_end(more);
	return duplicating(real_fcntl, fd, command, argument);
}

EXPORTED int fcntl64(int fd, int command, ...)
{
	va_list more;

	va_start(more, command);
	long argument = va_arg(more, long);
	va_end(more);
	return duplicating(real_fcntl64, fd, command, argument);
}

struct range {
	unsigned int first, last; /* what is left to close */
	int flags;
	int result;
};

static void leave_in_range(int fd, uint32_t value, void *argument)
{
	const struct range *range = argument;
	struct fd_word word = fd_get(fd);

	(void)value;
	if ((unsigned int)fd >= range->first && (unsigned int)fd <= range->last)
		descriptor_leave(fd, word);
}

/* Closes what lies before one of ours, and goes on behind it. */
static void skip_ours(int fd, uint32_t value, void *argument)
{
	struct range *range = argument;
	unsigned int number = (unsigned int)fd;

	(void)value;
	if (number < range->first || number > range->last || !own_fd_holds(fd))
		return;
	if (number > range->first && !range->result)
		range->result = real_close_range(range->first, number - 1, range->flags);
	range->first = number + 1;
}

EXPORTED int close_range(unsigned int first, unsigned int last, int flags)
{
	struct range range = {.first = first, .last = last, .flags = flags};

	if (!runtime_on() || first > last || flags & ~(CLOSE_RANGE_CLOEXEC | CLOSE_RANGE_UNSHARE))
		return real_close_range(first, last, flags);
	if (!(flags & CLOSE_RANGE_CLOEXEC)) {
		/* Nothing is forgotten for a call that the kernel lacks or refuses: a range in
		 * which there is nothing tells. */
		if (real_close_range(~0u, ~0u, flags) < 0)
			return -1;
		fd_for_each(FD_LISTENER, leave_in_range, &range);
		fd_for_each(FD_EPOLL, leave_in_range, &range);
		fd_for_each(FD_INSTANCE, leave_in_range, &range);
		fd_for_each(FD_SOCKET, leave_in_range, &range);
		fd_for_each(FD_PLAIN, leave_in_range, &range);
		migrate_closing_range(first, last);
	}
	fd_for_each(FD_OURS, skip_ours, &range);
	if (!range.result && range.first <= range.last)
		range.result = real_close_range(range.first, range.last, flags);
	return range.result;
}

/* One by one, as libc does where close_range() fails, but for ours. Returns 0 or -errno. */
static int close_each(long first)
{
	_Alignas(struct dirent64) char buffer[1024];
	long list, got, fd;

	list = sys(SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (list < 0)
		return (int)list;
	while ((got = sys(SYS_getdents64, list, buffer, sizeof(buffer))) > 0) {
		for (long at = 0; at < got;) {
			const struct dirent64 *entry = (const void *)(buffer + at);

			at += entry->d_reclen;
			if (number_parse(entry->d_name, strlen(entry->d_name), &fd) &&
			    fd >= first && fd != list)
				close((int)fd);
		}
	}
	sys(SYS_close, list);
	return (int)got;
}

EXPORTED void closefrom(int first)
{
	unsigned int lowest = first < 0 ? 0 : (unsigned int)first;
	int before = errno;

	/* libc has its own way of ending where there is no /proc either. */
	if (!runtime_on() || (close_range(lowest, ~0u, 0) < 0 && close_each(lowest) < 0))
		real_closefrom(first);
	errno = before;
}
