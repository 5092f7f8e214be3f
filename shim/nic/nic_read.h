/* The parts of nic_scan(): what each of them reads of one interface. Private to shim/nic. */
#pragma once
#include "shim/nic/nic_sources.h"
#include "shim/nic/nic_view.h"

struct policy;

static inline void nic_known(struct nic_view *view, enum nic_value value, enum nic_origin origin)
{
	view->fact[value] = (struct nic_fact){.origin = (uint16_t)origin};
}

static inline void nic_unknown(struct nic_view *view, enum nic_value value, int error)
{
	view->fact[value] = (struct nic_fact){.origin = ORIGIN_UNKNOWN, .error = (int16_t)error};
}

static inline bool nic_knows(const struct nic_view *view, enum nic_value value)
{
	return view->fact[value].origin != ORIGIN_UNKNOWN;
}

/* Function, transform, fields, key, table, queue counts, rules, contexts: ethtool. */
void nic_read_hash(struct nic_view *view, const struct nic_sources *sources);

/* The CPU of each receive (with `detail` also transmit) queue. */
void nic_read_queues(struct nic_view *view, const struct nic_sources *sources);

/* The same, from the interrupts and threads already known in `before`: asks no driver. */
void nic_reread_queues(struct nic_view *view, const struct nic_view *before,
		       const struct nic_sources *sources);

/* RPS, RFS, with `detail` XPS. */
void nic_read_steering(struct nic_view *view, const struct nic_sources *sources);

/* Replaces the kernel's values with those of the interface's [nic] section. False: it has none. */
bool nic_apply_policy(struct nic_view *view, const struct policy *policy);

/* Takes over what is known about the interfaces below, and the verdict on them. False: none of them
 * is in `set`, or up. */
bool nic_take_lower(struct nic_view *view, const struct nic_set *set);

/* Sets spreads, predictable, cpus and the reasons from everything else. */
void nic_judge(struct nic_view *view);

/* Sets learnable from the verdict. */
void nic_judge_learnable(struct nic_view *view);

/* Reads one interface again, as far as /proc and /sys tell, without looking below it. */
void nic_reread(struct nic_view *again, const struct nic_view *view, const struct policy *policy,
		const struct nic_sources *sources);

/* Carries what is known about each interface up to those that stand on it. */
void nic_stack_up(struct nic_set *set, const struct policy *policy);
