#include "shim/stat/stat.h"
#include "shim/kernel/format.h"
#include "shim/kernel/log.h"
#include "shim/kernel/shared_memory.h"
#include "shim/kernel/sys.h"
#include "shim/process/hot.h"
#include "shim/process/own_fd.h"
#include "shim/version.h"
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

HOT_DATA _Atomic(struct stat_memory *) stat_shared;
__thread struct stat_here stat_here;

static int descriptor = -1; /* how the command finds the memory, and the next program */

/* The memory of the program before, if it is one of this version. */
static struct stat_memory *take(int fd)
{
	void *at;

	if (fd < 0 || shared_memory_map(fd, sizeof(struct stat_memory), &at))
		return NULL;
	struct stat_memory *memory = at;
	if (memory->magic == STAT_MAGIC && memory->abi == STAT_ABI &&
	    memory->size == sizeof(*memory) && memory->counters == STAT_COUNTERS &&
	    !strncmp(memory->version, RSSSHIM_VERSION, sizeof(memory->version)))
		return memory;
	sys(SYS_munmap, memory, sizeof(*memory));
	return NULL;
}

void stat_inherit(int fd)
{
	if (fd < 0 || !own_fd_mark(fd))
		return;
	sys(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC);
	descriptor = fd;
	own_fd_hold(&descriptor);
}

int stat_descriptor(void)
{
	return descriptor;
}

/* What the reader finds; the newest program's word holds. */
static void describe(struct stat_memory *memory, const struct stat_origin *origin)
{
	memory->abi = STAT_ABI;
	memory->size = sizeof(*memory);
	memory->counters = STAT_COUNTERS;
	memory->every = origin->observe ? 1 : STAT_LOOK_EVERY;
	format_text(memory->version, sizeof(memory->version), "%s", RSSSHIM_VERSION);
	format_text(memory->program, sizeof(memory->program), "%s", origin->program);
	memory->policy = *origin->policy;
	stat_shared = memory;
	stat_set_nics(origin->nics, origin->online);
	memory->magic = STAT_MAGIC;
}

void stat_start(const struct stat_origin *origin)
{
	struct stat_memory *memory = take(descriptor);
	void *at;

	if (memory) {
		describe(memory, origin);
		return;
	}
	own_fd_close(descriptor);
	descriptor = -1;
	int fd = shared_memory_make(STAT_MEMORY_NAME, sizeof(*memory), &at);
	if (fd < 0) {
		log_info("no statistics: the memory for them was refused (error %d)", -fd);
		return;
	}
	describe(at, origin);
	descriptor = own_fd(fd);
	own_fd_hold(&descriptor);
}

/* Only asked once all blocks were used. A thread of another pid name space looks dead, and counts
 * on beside the new one: of two increments at the same moment one is then lost. */
static bool is_gone(uint64_t owner)
{
	return sys(SYS_tgkill, (int)(owner >> 32), (int)owner, 0) == -ESRCH;
}

/* Asking the kernel of each would make a connection of every new thread wait: a few a thread, each
 * thread the next ones. */
#define ASKED_MAX 8

static struct stat_block *take_over(struct stat_memory *memory, uint64_t self)
{
	static _Atomic uint32_t asked;

	for (int i = 0; i < ASKED_MAX; i++) {
		struct stat_block *block = &memory->block[asked++ % STAT_BLOCKS_MAX];
		uint64_t owner = block->owner;

		if (is_gone(owner) && atomic_compare_exchange_strong(&block->owner, &owner, self))
			return block;
	}
	return NULL;
}

static struct stat_block *claim_block(struct stat_memory *memory)
{
	uint64_t self = (uint64_t)self_pid() << 32 | (uint32_t)self_tid();

	for (int i = 0; i < STAT_BLOCKS_MAX; i++) {
		struct stat_block *block = &memory->block[i];
		uint64_t owner = block->owner;
		/* Else a program before us in this thread has ended. */
		if (!owner || owner == self)
			if (atomic_compare_exchange_strong(&block->owner, &owner, self))
				return block;
	}
	return take_over(memory, self);
}

void stat_add_slowly(enum stat_counter counter, uint64_t count)
{
	struct stat_memory *memory = stat_shared;

	if (!memory)
		return;
	uint32_t epoch = self_epoch();
	if (stat_here.crowded_epoch != epoch) {
		/* What the thread had before a fork is its parent's. */
		stat_here.block = claim_block(memory);
		stat_here.epoch = epoch;
		if (stat_here.block) {
			stat_here.block->counter[counter] += count;
			return;
		}
		stat_here.crowded_epoch = epoch;
	}
	__atomic_fetch_add(&memory->crowd.counter[counter], count, __ATOMIC_RELAXED);
}
