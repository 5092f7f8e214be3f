#include "shim/process/own_fd.h"
#include "shim/kernel/sys.h"
#include "shim/process/fd_table.h"
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/select.h>

/* A descriptor number costs kernel memory for the whole table below it, and fork copies that. */
#define OWN_FD_CEILING 4096
#define OWN_FD_ROOM    1024

static int duplicate_from(int fd, rlim_t lowest)
{
	return (int)sys(SYS_fcntl, fd, F_DUPFD_CLOEXEC, lowest);
}

/* Numbers from the soft limit on are out of the application's reach: it can neither be handed one
 * nor run out of descriptors because of us. The limit only matters at the moment of duplication. */
static int duplicate_above_limit(int fd, const struct rlimit *limit)
{
	struct rlimit raised = {.rlim_cur = limit->rlim_cur + OWN_FD_ROOM,
				.rlim_max = limit->rlim_max};

	if (limit->rlim_cur >= OWN_FD_CEILING || limit->rlim_cur < FD_SETSIZE)
		return -EINVAL;
	if (raised.rlim_cur > raised.rlim_max)
		raised.rlim_cur = raised.rlim_max;
	if (sys(SYS_prlimit64, 0, RLIMIT_NOFILE, &raised, NULL) < 0)
		return -EPERM;
	int high = duplicate_from(fd, limit->rlim_cur);
	sys(SYS_prlimit64, 0, RLIMIT_NOFILE, limit, NULL);
	return high;
}

/* Word value of an FD_OURS: place of its holder here, plus one. */
#define HOLDERS_MAX 4096
static int *_Atomic holders[HOLDERS_MAX];

int own_fd(int fd)
{
	struct rlimit limit = {.rlim_cur = FD_SETSIZE, .rlim_max = FD_SETSIZE};
	int high = -EINVAL;

	if (fd < 0)
		return fd;
	sys(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit);
	if (limit.rlim_cur < limit.rlim_max)
		high = duplicate_above_limit(fd, &limit);
	if (high < 0 && limit.rlim_cur > OWN_FD_CEILING)
		high = duplicate_from(fd, OWN_FD_CEILING - OWN_FD_ROOM);
	for (rlim_t from = limit.rlim_cur / 2; high < 0 && from > 64; from /= 2)
		high = duplicate_from(fd, from);
	if (high < 0) {
		sys(SYS_close, fd);
		return high;
	}
	sys(SYS_close, fd);
	fd_set_word(high, FD_OURS, 0);
	return high;
}

void own_fd_close(int fd)
{
	struct fd_word word = fd_get(fd);

	if (fd < 0)
		return;
	if (word.kind == FD_OURS && word.value)
		holders[word.value - 1] = NULL;
	fd_forget(fd);
	sys(SYS_close, fd);
}

void own_fd_hold(int *holder)
{
	for (unsigned i = 0; *holder >= 0 && i < HOLDERS_MAX; i++) {
		int *none = NULL;
		if (!atomic_compare_exchange_strong(&holders[i], &none, holder))
			continue;
		fd_set_word(*holder, FD_OURS, i + 1);
		return;
	}
}

int *own_fd_move(int fd)
{
	struct fd_word word = fd_get(fd);
	int *holder = word.kind == FD_OURS && word.value ? holders[word.value - 1] : NULL;

	if (!holder) {
		/* Who has it checks for itself that it is still there, and opens another. */
		fd_forget(fd);
		return NULL;
	}
	int moved = own_fd(duplicate_from(fd, 0));
	*holder = moved;
	if (moved >= 0)
		fd_set_word(moved, FD_OURS, word.value);
	fd_forget(fd);
	return holder;
}
