/* Interfaces of which nobody tells where packets arrive, but that can be watched. */
#include "shim/decide/learner.h"
#include "shim/nic/nic_read.h"

/* Whether watching can help against this. Not where packets follow the flow, or rules place them:
 * there is nothing to learn; nor where the policy said no. */
static bool is_learnable(enum nic_reason reason)
{
	switch (reason) {
	case REASON_LOCAL_LINK:
	case REASON_TUNNEL:
	case REASON_NO_LOWER:
	case REASON_SINGLE_QUEUE: /* ... that the guest knows of: its host may have more */
	case REASON_LEARN:
	case REASON_NO_KEY:
	case REASON_NO_TABLE:
	case REASON_NO_FUNCTION:
	case REASON_NOT_LINEAR: /* no Toeplitz, but XOR and CRC32 are as linear */
	case REASON_FIELDS:
	case REASON_RSS_OFF:
	case REASON_QUEUE_CPU:
	case REASON_RPS_HASH:
	case REASON_RPS_DIFFERS:
		return true;
	default:
		return false;
	}
}

void nic_judge_learnable(struct nic_view *view)
{
	view->learnable = false;
	view->may_learn = view->kind != NIC_LOOPBACK && !view->settled;
	if (!view->may_learn)
		return;
	for (int family = 0; family < FLOW_FAMILIES; family++)
		view->learnable |= is_learnable(view->predictable_not[family]);
}

bool nic_any_learnable(const struct nic_set *set)
{
	for (unsigned i = 0; set && i < set->count; i++)
		if (set->view[i].learnable)
			return true;
	return false;
}

static void find_cpus(struct nic_view *view)
{
	const struct arrival *arrival = &view->arrival;

	CPU_ZERO(&view->cpus);
	for (unsigned i = 0; i < arrival->queue_count; i++)
		if (arrival->queue_cpu[i] >= 0 && arrival->queue_cpu[i] < CPU_SETSIZE)
			CPU_SET((unsigned)arrival->queue_cpu[i], &view->cpus);
}

void nic_apply_learned(struct nic_view *view, const struct learned *learned)
{
	static const enum nic_value watched[] = {VALUE_FUNCTION, VALUE_TABLE, VALUE_QUEUE_CPU,
						 VALUE_QUEUES, VALUE_FIELDS};

	if (!learned->known[FLOW_IPV4] && !learned->known[FLOW_IPV6])
		return;
	view->learned = true;
	view->arrival = learned->arrival;
	find_cpus(view);
	view->multi_queue = CPU_COUNT(&view->cpus) > 1;
	view->spreads = view->multi_queue;
	view->spreads_not = view->spreads ? REASON_NONE : REASON_ONE_CPU;
	for (unsigned i = 0; i < sizeof(watched) / sizeof(watched[0]); i++)
		nic_known(view, watched[i], ORIGIN_WATCHED);
	for (int family = 0; family < FLOW_FAMILIES; family++) {
		view->predictable[family] = learned->known[family];
		view->predictable_not[family] = learned->known[family] ? REASON_NONE : REASON_LEARN;
	}
}
