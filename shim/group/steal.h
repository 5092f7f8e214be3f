/* `[balance] steal`: a worker that would sleep looks whether connections wait for others, one that
 * has work whether they wait there for much longer than at home, and takes some where balance.h
 * allows it. Where that lasts, shift.h steers a part elsewhere.
 *
 * They surface as those it drains do: as an event of the listener, and accept() goes to that
 * member. Costs an increment a connection, on a line of its own; and while the group is busy, who
 * has no work wakes up every few milliseconds, who has some asks every millisecond how many wait in
 * its own queue, and reads what the others noted of theirs. */
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
int steal_slice(struct watch *watch, int slice_ms);
/* Nothing came in that time. Writes events of listeners of which something may be taken, and
 * returns how many. */
int steal_look(struct watch *watch, struct epoll_event *events, int max);
/* count events came. Those of listeners of which something comes first from another's queue are
 * added where they are not among them; returns how many there are then. */
int steal_even(struct watch *watch, struct epoll_event *events, int count, int max);

/* A connection was taken from a slot by a worker at home there. */
static inline void steal_count_local(struct group *group, unsigned slot)
{
	if (__builtin_expect(steal_ratio(), 0))
		atomic_fetch_add_explicit(&group->ledger->local[slot].taken, 1,
					  memory_order_relaxed);
}

static inline void steal_count_stolen(struct group *group, unsigned slot)
{
	atomic_fetch_add_explicit(&group->ledger->lost[slot], 1, memory_order_relaxed);
	stat_count(STAT_BALANCE_STOLEN);
}

/* While connections are steered elsewhere: counts those that were, to that slot, by a sample. */
void steal_count_shifted(const struct group *group, unsigned slot, int accepted);
static inline bool steal_is_shifting(const struct group *group)
{
	return atomic_load_explicit(&group->ledger->shift.away, memory_order_relaxed);
}
