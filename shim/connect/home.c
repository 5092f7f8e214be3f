#include "shim/connect/home.h"
#include "shim/kernel/sys.h"
#include <stdatomic.h>
#include <string.h>

#define RECHECK_MS 200

static _Atomic uint32_t moves;

static __thread struct {
	struct home home;
	uint32_t moves;
	uint64_t checked_ms;
} mine;

void home_moved(void)
{
	atomic_fetch_add_explicit(&moves, 1, memory_order_release);
}

const struct home *home_of_thread(uint64_t now_ms)
{
	uint32_t now_moves = atomic_load_explicit(&moves, memory_order_acquire);
	cpu_set_t cpus;

	if (mine.home.version && mine.moves == now_moves && now_ms - mine.checked_ms < RECHECK_MS)
		return &mine.home;
	mine.moves = now_moves;
	mine.checked_ms = now_ms;
	memset(&cpus, 0, sizeof(cpus));
	/* Refused on machines of more CPUs than the set holds: then the thread has no home. */
	if (sys(SYS_sched_getaffinity, 0, sizeof(cpus), &cpus) < 0)
		memset(&cpus, 0xff, sizeof(cpus));
	if (mine.home.version && CPU_EQUAL(&cpus, &mine.home.cpus))
		return &mine.home;
	mine.home.cpus = cpus;
	mine.home.version += mine.home.version + 1 ? 1 : 2;
	return &mine.home;
}
