/* Looking where the packets of a connection arrive, and counting it in the table. */
#include "shim/connect/home.h"
#include "shim/kernel/clock.h"
#include "shim/kernel/socket.h"
#include "shim/stat/stat.h"
#include "shim/stat/stat_nic.h"
#include <string.h>

/* Where each connection is looked at, the interface is asked for one in so many times. */
#define NIC_EVERY 8

/* xorshift32: a fixed step would see but one of two clients that take turns. */
static int next_look(uint32_t every)
{
	uint32_t r = stat_here.random ? stat_here.random : (uint32_t)self_tid() * 2654435761u;

	r ^= r << 13;
	r ^= r >> 17;
	r ^= r << 5;
	stat_here.random = r;
	return every > 1 ? (int)(r % (2 * every - 1)) : 0;
}

static void count(_Atomic uint64_t *number)
{
	atomic_fetch_add_explicit(number, 1, memory_order_relaxed);
}

/* A set of CPUs is 64 a word, the lowest first, as in sched_getaffinity(2). */
static void remember_home(struct stat_memory *memory, const cpu_set_t *mask)
{
	uint64_t bits[CPU_SETSIZE / 64];

	memcpy(bits, mask, sizeof(bits));
	for (unsigned w = 0; w < CPU_SETSIZE / 64; w++)
		if (bits[w] & ~memory->homes[w])
			atomic_fetch_or(&memory->homes[w], bits[w]);
}

static unsigned place_of(int cpu)
{
	return cpu >= 0 && cpu < STAT_CPUS_MAX ? (unsigned)cpu : STAT_BEYOND;
}

void stat_seen(enum stat_side side, int cpu, uint32_t ifindex)
{
	static const enum stat_counter counter[STAT_SIDES][STAT_OUTCOMES] = {
		[STAT_ACCEPT] = {STAT_ACCEPT_ALIGNED, STAT_ACCEPT_MISALIGNED, STAT_ACCEPT_UNPINNED},
		[STAT_CONNECT] = {STAT_CONNECT_ALIGNED, STAT_CONNECT_MISALIGNED,
				  STAT_CONNECT_ELSEWHERE},
	};
	struct stat_memory *memory = stat_shared;

	if (!memory)
		return;
	const cpu_set_t *mask = &home_of_thread(clock_ms())->cpus;
	enum stat_outcome_kind what = STAT_NOT_PINNED;
	unsigned row = STAT_UNPINNED, column = place_of(cpu);
	if (home_is_part(mask, &memory->receiving)) {
		what = CPU_ISSET((unsigned)cpu, mask) ? STAT_ALIGNED : STAT_MISALIGNED;
		row = what == STAT_ALIGNED ? column : place_of(sched_getcpu());
		remember_home(memory, mask);
	}
	stat_count(counter[side][what]);
	count(&memory->table[side][row].arrived[column]);
	if (ifindex)
		count(&memory->column[side][column].nic[stat_nic_slot(memory, ifindex)][what]);
}

void stat_look(enum stat_side side, int fd, uint32_t ifindex)
{
	const struct stat_memory *memory = stat_shared;

	stat_here.until_look = next_look(memory ? memory->every : STAT_LOOK_EVERY);
	int cpu = memory ? socket_incoming_cpu(fd) : -1;
	if (cpu < 0)
		return; /* no TCP connection */
	if (!ifindex && side == STAT_ACCEPT &&
	    (memory->every > 1 || !(stat_here.random % NIC_EVERY)))
		ifindex = socket_interface(fd);
	stat_seen(side, cpu, ifindex);
}
