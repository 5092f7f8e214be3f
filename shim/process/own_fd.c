#include "shim/process/own_fd.h"
#include "shim/kernel/sys.h"
#include "shim/process/fd_table.h"
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/stat.h>

/* A descriptor number costs kernel memory for the whole table below it, and fork copies that. */
#define OWN_FD_CEILING 4096
#define OWN_FD_ROOM    1024
#define RAISE_TRIES    100

static int duplicate_from(int fd, rlim_t lowest)
{
	return (int)sys(SYS_fcntl, fd, F_DUPFD_CLOEXEC, lowest);
}

/* One thread at a time raises the limit, or two would take each other's for the application's. Who
 * does not get to it makes do with a lower number: it may be a handler of the very thread, or a
 * child that was forked meanwhile. */
static _Atomic bool raising;

static bool begin_raising(void)
{
	bool taken = false;

	for (int tries = 0; !atomic_compare_exchange_strong(&raising, &taken, true); tries++) {
		if (tries == RAISE_TRIES)
			return false;
		taken = false;
		sys(SYS_sched_yield);
	}
	return true;
}

/* Numbers from the soft limit on are out of the application's reach: it can neither be handed one
 * nor run out of descriptors because of us. The limit only matters at the moment of duplication. */
static int duplicate_above(int fd, const struct rlimit *limit)
{
	struct rlimit raised = {.rlim_cur = limit->rlim_cur + OWN_FD_ROOM,
				.rlim_max = limit->rlim_max};
	struct rlimit before, found;

	if (limit->rlim_cur >= OWN_FD_CEILING || limit->rlim_cur < FD_SETSIZE ||
	    limit->rlim_cur >= limit->rlim_max)
		return -EINVAL;
	if (raised.rlim_cur > raised.rlim_max)
		raised.rlim_cur = raised.rlim_max;
	if (sys(SYS_prlimit64, 0, RLIMIT_NOFILE, &raised, &before) < 0)
		return -EPERM;
	int high = duplicate_from(fd, limit->rlim_cur);
	/* What the application set meanwhile holds, before or after. */
	if (!sys(SYS_prlimit64, 0, RLIMIT_NOFILE, &before, &found) &&
	    (found.rlim_cur != raised.rlim_cur || found.rlim_max != raised.rlim_max))
		sys(SYS_prlimit64, 0, RLIMIT_NOFILE, &found, NULL);
	return high;
}

/* *limit: what it is. */
static int duplicate_above_limit(int fd, struct rlimit *limit)
{
	bool alone = begin_raising();

	sys(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, limit);
	int high = alone ? duplicate_above(fd, limit) : -EBUSY;
	if (alone)
		raising = false;
	return high;
}

/* Word value of an FD_OURS: place of its holder here plus one, and above it what the descriptor was
 * open on: enough to tell another file from it, but for one in 2^19. */
#define HOLDERS_MAX 4096
#define PLACE_BITS  13
#define PLACE_MASK  ((1u << PLACE_BITS) - 1)
static int *_Atomic holders[HOLDERS_MAX];

/* Returns false where nothing is open there. */
static bool identity_of(int fd, uint32_t *identity)
{
	struct stat file;

	if (sys(SYS_fstat, fd, &file) < 0)
		return false;
	uint64_t mixed = ((uint64_t)file.st_ino ^ (uint64_t)file.st_dev << 32) *
			 UINT64_C(0x9e3779b97f4a7c15);
	*identity = (uint32_t)(mixed >> 32) & ~PLACE_MASK;
	return true;
}

bool own_fd_mark(int fd)
{
	uint32_t identity;

	return identity_of(fd, &identity) && fd_set_word(fd, FD_OURS, identity);
}

bool own_fd_holds(int fd)
{
	struct fd_word word = fd_get(fd);
	uint32_t identity;

	return word.kind == FD_OURS && identity_of(fd, &identity) &&
	       (word.value & ~PLACE_MASK) == identity;
}

int own_fd(int fd)
{
	struct rlimit limit = {.rlim_cur = FD_SETSIZE, .rlim_max = FD_SETSIZE};

	if (fd < 0)
		return fd;
	int high = duplicate_above_limit(fd, &limit);
	if (high < 0 && limit.rlim_cur > OWN_FD_CEILING)
		high = duplicate_from(fd, OWN_FD_CEILING - OWN_FD_ROOM);
	for (rlim_t from = limit.rlim_cur / 2; high < 0 && from > 64; from /= 2)
		high = duplicate_from(fd, from);
	sys(SYS_close, fd);
	if (high >= 0)
		own_fd_mark(high);
	return high;
}

static int *_Atomic *place_of(struct fd_word word)
{
	uint32_t place = word.kind == FD_OURS ? word.value & PLACE_MASK : 0;

	return place && place <= HOLDERS_MAX ? &holders[place - 1] : NULL;
}

void own_fd_close(int fd)
{
	struct fd_word word = fd_get(fd);
	int *_Atomic *place = place_of(word);

	if (fd < 0)
		return;
	if (place)
		*place = NULL;
	bool there = own_fd_holds(fd);
	/* Another thread may be handed the number at once. */
	if (word.kind == FD_OURS)
		fd_forget(fd);
	if (there)
		sys(SYS_close, fd);
}

bool own_fd_is_held(const int *holder)
{
	int *_Atomic *place = place_of(fd_get(*holder));

	return place && *place == holder && own_fd_holds(*holder);
}

void own_fd_drop(int *holder)
{
	int *_Atomic *place = place_of(fd_get(*holder));

	if (!place || *place == holder)
		own_fd_close(*holder);
	*holder = -1;
}

void own_fd_hold(int *holder)
{
	if (*holder < 0 || (fd_get(*holder).kind != FD_OURS && !own_fd_mark(*holder)))
		return;
	for (unsigned i = 0; i < HOLDERS_MAX; i++) {
		int *none = NULL;
		if (!atomic_compare_exchange_strong(&holders[i], &none, holder))
			continue;
		fd_set_word(*holder, FD_OURS, (fd_get(*holder).value & ~PLACE_MASK) | (i + 1));
		return;
	}
}

int *own_fd_move(int fd)
{
	struct fd_word word = fd_get(fd);
	int *_Atomic *place = place_of(word);
	int *holder = place && own_fd_holds(fd) ? *place : NULL;

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
