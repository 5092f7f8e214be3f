#include "shim/migrate/place.h"
#include "shim/kernel/sys.h"
#include "shim/process/fd_table.h"
#include "shim/process/self.h"
#include <stddef.h>
#include <sys/mman.h>
#include <time.h>

/* As the descriptor table: leaves are made when needed, and never freed. */
#define LEAF_BITS 10
#define LEAF_SIZE (1 << LEAF_BITS)

/* A second, of which all but the first looks are slept through. */
#define LOOKS_AWAKE 64
#define LOOKS_MAX   10000
#define LOOK_NS     100000

struct entry {
	_Atomic uint64_t word;
	struct place_registration registration;
};

static _Atomic(struct entry *) leaves[FD_TABLE_MAX / LEAF_SIZE];
static _Atomic int end;

/* state, origin, now, epoch of the process that took it, holder */
static uint64_t pack(struct place place, uint32_t epoch)
{
	return (uint64_t)(uint32_t)place.holder << 32 | (uint64_t)(epoch & 0xff) << 24 |
	       (uint64_t)place.now << 16 | (uint64_t)place.origin << 8 | place.state;
}

static struct place unpack(uint64_t word)
{
	return (struct place){.state = word & 0xff,
			      .origin = word >> 8 & 0xff,
			      .now = word >> 16 & 0xff,
			      .holder = (int)(word >> 32)};
}

static struct entry *entry_of(int fd)
{
	if ((unsigned int)fd >= FD_TABLE_MAX)
		return NULL;
	struct entry *leaf = atomic_load_explicit(&leaves[fd >> LEAF_BITS], memory_order_acquire);
	return leaf ? &leaf[fd & (LEAF_SIZE - 1)] : NULL;
}

static struct entry *entry_make(int fd)
{
	struct entry *entry = entry_of(fd), *none = NULL;
	size_t size = sizeof(struct entry) * LEAF_SIZE;
	int before = end;

	if ((unsigned int)fd >= FD_TABLE_MAX)
		return NULL;
	while (before <= fd && !atomic_compare_exchange_weak(&end, &before, fd + 1))
		;
	if (entry)
		return entry;
	long map = sys(SYS_mmap, NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
	if (map < 0 && map > -4096)
		return NULL;
	if (!atomic_compare_exchange_strong(&leaves[fd >> LEAF_BITS], &none, (struct entry *)map))
		sys(SYS_munmap, map, size); /* another thread was first */
	return entry_of(fd);
}

struct place place_get(int fd)
{
	struct entry *entry = entry_of(fd);

	/* Sequentially consistent, for moves_dissolve(). */
	return unpack(entry ? entry->word : 0);
}

static bool take(struct entry *entry, uint64_t word, struct place *before)
{
	struct place taken = *before = unpack(word);

	/* Left by a thread that a fork did not bring along, or given up on: it may have gone on
	 * with what it was at. */
	if (before->holder && before->state == PLACE_MOVES)
		before->state = PLACE_STAYS;
	before->holder = 0;
	taken.holder = self_tid();
	return atomic_compare_exchange_strong(&entry->word, &word, pack(taken, self_epoch()));
}

static bool is_free(uint64_t word)
{
	return !unpack(word).holder || (word >> 24 & 0xff) != (self_epoch() & 0xff);
}

bool place_try(int fd, struct place *before)
{
	struct entry *entry = entry_make(fd);
	uint64_t word = entry ? entry->word : 0;

	return entry && is_free(word) && take(entry, word, before);
}

bool place_take(int fd, struct place *before)
{
	struct entry *entry = entry_make(fd);
	int looks = 0;

	while (entry) {
		uint64_t word = entry->word;
		if (!is_free(word) && unpack(word).holder == self_tid())
			break;
		if ((is_free(word) || !place_wait(&looks)) && take(entry, word, before))
			return true;
	}
	*before = place_get(fd);
	return false;
}

bool place_wait(int *looks)
{
	const struct timespec pause = {.tv_nsec = LOOK_NS};

	if (*looks > LOOKS_MAX)
		return false;
	if ((*looks)++ < LOOKS_AWAKE)
		sys(SYS_sched_yield);
	else
		sys(SYS_nanosleep, &pause, NULL);
	return true;
}

void place_give(int fd, struct place now)
{
	struct entry *entry = entry_of(fd);

	now.holder = 0;
	atomic_store_explicit(&entry->word, pack(now, 0), memory_order_release);
}

struct place_registration *place_registration(int fd)
{
	return &entry_of(fd)->registration;
}

int place_end(void)
{
	return end;
}
