#include "shim/decide/placement.h"

#define WORDS (CPU_SETSIZE / 64)

/* What *seen may say; SEEN_CPU and more: a CPU. */
#define SEEN_NEVER 0
#define SEEN_HOME  1
#define SEEN_CPU   2

void placement_leave(struct placement_worker *worker)
{
	for (int w = 0; w < WORDS; w++)
		atomic_store_explicit(&worker->home[w], 0, memory_order_relaxed);
}

void placement_set_home(struct placement_worker *worker, const cpu_set_t *affinity,
			const cpu_set_t *arrivals)
{
	cpu_set_t home;

	CPU_AND(&home, affinity, arrivals);
	if (CPU_EQUAL(&home, arrivals))
		CPU_ZERO(&home);
	for (int w = 0; w < WORDS; w++) {
		uint64_t bits = 0;
		for (int bit = 0; bit < 64; bit++)
			bits |= (uint64_t) !!CPU_ISSET(w * 64 + bit, &home) << bit;
		/* Read for every connection, seldom another. */
		if (atomic_load_explicit(&worker->home[w], memory_order_relaxed) != bits)
			atomic_store_explicit(&worker->home[w], bits, memory_order_relaxed);
	}
}

bool placement_is_home(const struct placement_worker *worker, int cpu)
{
	return cpu >= 0 && cpu < CPU_SETSIZE &&
	       atomic_load_explicit(&worker->home[cpu / 64], memory_order_relaxed) >> (cpu % 64) &
		       1;
}

bool placement_takes_part(const struct placement_worker *worker)
{
	uint64_t any = 0;

	for (int w = 0; w < WORDS; w++)
		any |= atomic_load_explicit(&worker->home[w], memory_order_relaxed);
	return any;
}

int placement_choose(const struct placement_worker *workers, unsigned count, int cpu)
{
	uint32_t fewest = UINT32_MAX;
	int best = -1;

	for (unsigned i = 0; i < count; i++) {
		if (!placement_is_home(&workers[i], cpu))
			continue;
		uint32_t held = atomic_load_explicit(&workers[i].held, memory_order_relaxed);
		if (held < fewest) {
			fewest = held;
			best = (int)i;
		}
	}
	return best;
}

bool placement_is_lasting(uint16_t *seen, int cpu, bool is_home)
{
	uint16_t before = *seen;

	if (cpu < 0)
		return false;
	*seen = is_home ? SEEN_HOME : (uint16_t)(cpu + SEEN_CPU);
	return !is_home && (before == SEEN_NEVER || before == *seen);
}

int placement_seen(uint16_t seen)
{
	return seen > SEEN_HOME ? seen - SEEN_CPU : -1;
}
