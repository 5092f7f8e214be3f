/* Interfaces that stand on others: their packets arrive where those of the lower one do. */
#include "shim/nic/nic_read.h"
#include <string.h>

#define STACK_DEPTH 4 /* VLAN on bridge on bond on NIC */

static bool is_local_port(const struct nic_view *view)
{
	return view->kind == NIC_VETH || view->kind == NIC_TUN;
}

static void take_arrival(struct nic_view *view, const struct nic_view *lower)
{
	view->arrival = lower->arrival;
	view->tx_count = lower->tx_count;
	memcpy(view->tx_cpu, lower->tx_cpu, sizeof(view->tx_cpu));
	memcpy(view->xps_queue, lower->xps_queue, sizeof(view->xps_queue));
	memcpy(view->queue_irq, lower->queue_irq, sizeof(view->queue_irq));
	memcpy(view->queue_thread, lower->queue_thread, sizeof(view->queue_thread));
	view->rx_hash = lower->rx_hash;
	view->ntuple = lower->ntuple;
	view->flow_director = lower->flow_director;
	view->rfs = lower->rfs;
	view->accelerated_rfs = lower->accelerated_rfs;
	view->threaded_napi = lower->threaded_napi;
	view->rps_differs = lower->rps_differs;
	view->doubtful = lower->doubtful;
	view->learn = lower->learn;
	view->settled = lower->settled;
	view->rules = lower->rules;
	view->contexts = lower->contexts;
	view->numa_node = lower->numa_node;
	for (int value = 0; value < NIC_VALUES; value++) {
		view->fact[value] = lower->fact[value];
		if (nic_knows(lower, (enum nic_value)value))
			view->fact[value].origin = ORIGIN_LOWER;
	}
}

/* The verdict of the interface below, joined with what was said of its siblings. */
static void join_verdict(struct nic_view *view, const struct nic_view *lower, bool first, bool same)
{
	if (first) {
		view->multi_queue = lower->multi_queue;
		view->spreads_not = lower->spreads_not;
		memcpy(view->predictable_not, lower->predictable_not,
		       sizeof(view->predictable_not));
		view->cpus = lower->cpus;
		return;
	}
	CPU_OR(&view->cpus, &view->cpus, &lower->cpus);
	if (view->spreads_not == REASON_NONE)
		view->spreads_not = lower->spreads_not;
	for (int family = 0; family < FLOW_FAMILIES; family++) {
		if (view->predictable_not[family] != REASON_NONE)
			continue;
		view->predictable_not[family] =
			same ? lower->predictable_not[family] : REASON_LOWERS_DIFFER;
	}
}

bool nic_take_lower(struct nic_view *view, const struct nic_set *set)
{
	unsigned count = view->active_backup ? 1 : view->lower_count;
	const struct nic_view *first = NULL;
	bool local_port = false;

	for (unsigned i = 0; i < count; i++) {
		const struct nic_view *lower = nic_by_index(set, view->lower[i]);

		/* A VLAN is down with its only interface; others have something to turn to. */
		if (!lower || (!lower->up && (count > 1 || view->kind == NIC_PHYSICAL)))
			continue;
		if (view->kind == NIC_BRIDGE && is_local_port(lower) && !lower->spreads) {
			local_port = true;
			continue;
		}
		if (!first)
			take_arrival(view, lower);
		join_verdict(view, lower, !first,
			     first && arrival_same(&first->arrival, &lower->arrival));
		if (!first)
			first = lower;
	}
	if (!first)
		return false;
	/* Packets of containers and guests on the same bridge come in on the sender's CPU, and
	 * bear the bridge's name like all others. Replies from outside are not concerned. */
	if (local_port)
		view->spreads_not = REASON_LOCAL_LINK;
	view->spreads = view->spreads_not == REASON_NONE;
	for (int family = 0; family < FLOW_FAMILIES; family++)
		view->predictable[family] = view->predictable_not[family] == REASON_NONE;
	nic_judge_learnable(view);
	return true;
}

void nic_stack_up(struct nic_set *set, const struct policy *policy)
{
	/* Each round goes one storey up. */
	for (int storey = 0; storey < STACK_DEPTH; storey++) {
		for (unsigned i = 0; i < set->count; i++) {
			struct nic_view *view = &set->view[i];

			if (nic_stands_on_others(view) && nic_take_lower(view, set) &&
			    nic_apply_policy(view, policy))
				nic_judge(view);
		}
	}
}
