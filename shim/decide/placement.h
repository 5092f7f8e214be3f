/* Which of an application's workers a connection belongs to, by the CPU where its packets arrive:
 * `[migrate] mode = epoll`. */
#pragma once
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* What others see of a worker. Its home is read for every connection and seldom written, how many
 * connections it has the other way round. */
struct placement_worker {
	_Alignas(64) _Atomic uint64_t home[CPU_SETSIZE / 64]; /* its CPUs; none: takes no part */
	_Alignas(64) _Atomic uint32_t held;
};

/* The worker is at home where its affinity is a part of the CPUs that receive, but not all. */
void placement_set_home(struct placement_worker *worker, const cpu_set_t *affinity,
			const cpu_set_t *arrivals);
void placement_leave(struct placement_worker *worker);
bool placement_is_home(const struct placement_worker *worker, int cpu);
bool placement_takes_part(const struct placement_worker *worker);

/* Of the workers at home on that CPU, the one with the fewest connections; -1: there is none. */
int placement_choose(const struct placement_worker *workers, unsigned count, int cpu);

/* Whether a connection moves: at once if it was just registered, later only if two looks in a row,
 * some time apart, found its last packet on the same CPU that is not its worker's. One packet may
 * stray while a table is rewritten, and to follow each would be to chase it. *seen is what the last
 * look at this connection left here, 0 before the first. */
bool placement_is_lasting(uint16_t *seen, int cpu, bool is_home);

/* The CPU of the last look if that was not its worker's, else -1. */
int placement_seen(uint16_t seen);
