/* `[balance] steal`: a worker that would sleep looks whether connections wait for others, and takes
 * some where balance.h allows it.
 *
 * They surface as those it drains do: as an event of the listener, and accept() goes to that
 * member. Costs a worker that has work an increment a connection, on a line of its own; one that
 * has none wakes up every few milliseconds while the group is busy, and asks poll(). */
#pragma once
#include "shim/group/group.h"
#include "shim/process/runtime.h"
#include "shim/stat/stat.h"
#include <sys/epoll.h>

struct watch;

/* N of the policy, 0: off. */
static inline unsigned steal_ratio(void)
{
	return runtime_policy()->balance_steal;
}

/* Before each wait: how long the thread may sleep, that could for slice_ms. */
int steal_slice(struct watch *watch, uint64_t now_ms, int slice_ms);
/* Nothing came in that time. Writes events of listeners of which something may be taken, and
 * returns how many. */
int steal_look(struct watch *watch, uint64_t now_ms, struct epoll_event *events, int max);

/* A connection was taken from a slot by a worker at home there. */
static inline void steal_count_local(struct group *group, unsigned slot)
{
	if (__builtin_expect(steal_ratio(), 0))
		atomic_fetch_add_explicit(&group->ledger->local[slot].taken, 1,
					  memory_order_relaxed);
}

static inline void steal_count_stolen(struct group *group)
{
	atomic_fetch_add_explicit(&group->ledger->stolen, 1, memory_order_relaxed);
	stat_count(STAT_BALANCE_STOLEN);
}
