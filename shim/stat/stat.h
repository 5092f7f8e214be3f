/* Counting what the library does.
 *
 * The numbers are in a memfd that all processes of an application inherit, and that the `rssshim`
 * command finds through /proc: nothing in the file system, nothing left behind. Each thread counts
 * in a block of its own, with plain increments: no lock and no system call. Until the memory
 * exists, or where the kernel refuses it, counting does nothing. */
#pragma once
#include "shim/process/self.h"
#include "shim/stat/stat_memory.h"
#include <stdbool.h>

struct nic_set;
struct policy;
struct socket_address;

extern _Atomic(struct stat_memory *) stat_shared;

/* The calling thread's block, NULL until its first count; valid in the epoch it was claimed in. */
struct stat_here {
	struct stat_block *block;
	uint32_t epoch;
	uint32_t crowded_epoch; /* all blocks were taken in that epoch: counts in the common one */
	uint32_t random;
	int until_look; /* arrivals that go by before the next one that is looked at */
};
extern __thread struct stat_here stat_here;

void stat_add_slowly(enum stat_counter counter, uint64_t count);

static inline void stat_add(enum stat_counter counter, uint64_t count)
{
	if (__builtin_expect(stat_here.block && stat_here.epoch == self_epoch(), 1))
		stat_here.block->counter[counter] += count;
	else
		stat_add_slowly(counter, count);
}

static inline void stat_count(enum stat_counter counter)
{
	stat_add(counter, 1);
}

/* `rssshim off`: nothing new is to be steered. Read it each time, it changes at any time. */
static inline bool stat_is_off(void)
{
	const struct stat_memory *memory = atomic_load_explicit(&stat_shared, memory_order_relaxed);

	return memory && memory->off;
}

struct stat_origin {
	const struct policy *policy;
	const struct nic_set *nics;
	const cpu_set_t *online; /* stands for the CPUs that receive where no interface spreads */
	const char *program;
	bool observe; /* look at each arrival */
};

/* Goes on counting in the memory that came over exec from the same program. To be called before
 * stat_start(); fd is ours from now on. */
void stat_inherit(int fd);
/* The descriptor of the memory, to go along over exec; -1: none. */
int stat_descriptor(void);

/* Makes the memory, once, under self_lock(). If the kernel refuses, there are no statistics;
 * nothing else changes. */
void stat_start(const struct stat_origin *origin);
/* The interfaces were looked at again. Under self_lock(). */
void stat_set_nics(const struct nic_set *nics, const cpu_set_t *online);

/* A listener is steered by that many members, in the way that `how` says; or members is 0, and
 * `how` says why it is not steered. */
void stat_listener(const struct socket_address *address, unsigned members, const char *how);

/* Whether source ports are chosen; whether the prediction for one connection that was looked at
 * came true; and whether an interface's predictions are trusted: mistrusted is the fingerprint of
 * the arrival whose predictions proved wrong, or 0. */
void stat_outgoing(enum stat_outgoing state);
void stat_predicted(uint32_t ifindex, bool right);
void stat_trust(uint32_t ifindex, uint64_t mistrusted);

/* The packets of a connection of the calling thread were seen to arrive on that CPU, by the
 * interface ifindex (0: not known). */
void stat_seen(enum stat_side side, int cpu, uint32_t ifindex);

/* The connection fd is established: now and then looks on which CPU its packets arrive, which takes
 * a system call or two. ifindex: the interface, 0 where not known (for accepted connections the
 * kernel tells). */
void stat_look(enum stat_side side, int fd, uint32_t ifindex);
static inline void stat_arrived(enum stat_side side, int fd, uint32_t ifindex)
{
	if (__builtin_expect(--stat_here.until_look < 0, 0))
		stat_look(side, fd, ifindex);
}
