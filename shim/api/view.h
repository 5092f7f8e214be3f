/* What rssshim.h answers from: the machine as it was looked at, in two copies that take turns. */
#pragma once
#include "shim/connect/local_ports.h"
#include "shim/decide/ports.h"
#include "shim/kernel/route.h"
#include "shim/learn/nic_learn.h"
#include "shim/nic/nic_sources.h"
#include "shim/nic/nic_view.h"
#include "shim/nic/nic_work.h"
#include "shim/policy/policy.h"
#include <pthread.h>
#include <stdatomic.h>

struct view {
	struct nic_set found;    /* as the kernel and the policy say */
	struct nic_set nics;     /* with what this application has learned */
	uint32_t index[NIC_MAX]; /* of each, side by side: the views themselves are far apart */
	struct local_ports local_ports;
	uint16_t lo, hi;             /* 0: policy and host have no port in common */
	struct ports ports[NIC_MAX]; /* of the predictable ones */
};

/* view[sequence & 1] holds. A refresh fills the other one and raises the sequence, once all who
 * hold `in_use` have let go of that other one.
 *
 * Questions of a few nanoseconds would spend most of their time on the lock, all on its cache line.
 * They go without: who finds the sequence raised asks again. What they read meanwhile may be half
 * written, so they may only do with it what is safe with any values (arrival_of() is). */
struct rssshim {
	_Atomic uint32_t sequence;
	pthread_rwlock_t in_use;
	struct view view[2];
	uint32_t epoch; /* of the process that opened it: self_epoch() */
	/* For the one thread that looks at the machine or asks the kernel. */
	pthread_mutex_t looking;
	struct policy policy;
	struct nic_sources sources;
	struct route_watch news;
	struct nic_work work;
	struct learned learned; /* one at a time */
	uint32_t edition;       /* of what was learned, as in the present view */
	struct local_ports local_ports, local_ports_again;
};

/* For a question under the lock; to be ended. */
const struct view *view_begin(const struct rssshim *rss);
void view_end(const struct rssshim *rss);

/* Place of an interface in a view; -1: not there. */
static inline int view_find(const struct view *view, uint32_t index)
{
	unsigned count = view->nics.count < NIC_MAX ? view->nics.count : NIC_MAX;

	for (unsigned i = 0; i < count; i++)
		if (view->index[i] == index)
			return (int)i;
	return -1;
}

/* The thread that may use the sources. Returns 0, or -ECHILD where they are a parent's. */
int looking_begin(struct rssshim *rss);
void looking_end(struct rssshim *rss);
