/* The CPUs the calling thread is allowed on: its home where they are a part of those that receive.
 *
 * Kept by each thread. Changes through the wrappers are seen at once, those from outside (taskset,
 * cpusets) within a fraction of a second. */
#pragma once
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

struct home {
	cpu_set_t cpus;
	uint32_t version; /* another one whenever the CPUs are others; never 0 */
};

/* Valid until the thread asks again. now_ms: of a monotonic clock. */
const struct home *home_of_thread(uint64_t now_ms);

/* Some thread's affinity was changed by a call of this process. */
void home_moved(void);

/* A thread is at home where it may run on some of the CPUs that receive, but not on all. */
static inline bool home_is_part(const cpu_set_t *allowed, const cpu_set_t *receiving)
{
	cpu_set_t both;

	CPU_AND(&both, allowed, receiving);
	return CPU_COUNT(&both) && !CPU_EQUAL(&both, receiving);
}
