/* What this process goes by: the policy, the machine, and whether anything is to be done at all. */
#pragma once
#include "shim/kernel/topology.h"
#include "shim/nic/nic_view.h"
#include "shim/policy/policy.h"
#include <stdatomic.h>
#include <stdbool.h>

struct nic_sources;

enum runtime_state {
	RUNTIME_OFF, /* before the constructor, disabled, or failed: every wrapper passes through */
	RUNTIME_OBSERVE, /* counts, touches nothing */
	RUNTIME_ON,
};

extern _Atomic int runtime_state;

static inline bool runtime_on(void)
{
	return __builtin_expect(
		atomic_load_explicit(&runtime_state, memory_order_acquire) == RUNTIME_ON, 1);
}

/* Steers, or at least counts. */
static inline bool runtime_counts(void)
{
	return atomic_load_explicit(&runtime_state, memory_order_acquire) != RUNTIME_OFF;
}

/* Once, from the constructor: reads the environment and the policy. */
void runtime_start(void);

/* Valid from runtime_start() on. */
extern struct policy runtime_the_policy;
static inline const struct policy *runtime_policy(void)
{
	return &runtime_the_policy;
}

/* Looks at the NICs and CPUs and begins to count, the first time it is called: before the
 * application drops privileges or changes root, so at its first TCP socket. */
void runtime_discover(void);

/* NULL before runtime_discover(). */
const struct nic_set *runtime_nics(void);
const struct cpu_topology *runtime_topology(void);
/* Its netlink sockets are shared with the processes forked from here: for use under self_lock() by
 * the one that opened them. */
const struct nic_sources *runtime_sources(void);

/* The application is about to change its root directory: what we have open must be no way out. */
void runtime_confine(void);
