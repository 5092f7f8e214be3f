/* Interfaces that do not report where packets arrive, but can be watched. */
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
	view->may_learn = view->kind != NIC_LOOPBACK && !view->settled;
	for (int family = 0; family < FLOW_FAMILIES; family++)
		view->untold[family] =
			view->may_learn && is_learnable(view->predictable_not[family]);
	view->learnable = view->untold[FLOW_IPV4] || view->untold[FLOW_IPV6];
}

void nic_disprove(struct nic_view *view)
{
	view->disproved = view->learnable = true;
	view->untold[FLOW_IPV4] = view->untold[FLOW_IPV6] = true;
}

/* The arrival is one for both families. */
static bool would_lose(const struct nic_view *view, const struct learned *learned)
{
	for (int family = 0; family < FLOW_FAMILIES; family++)
		if (view->predictable[family] && !view->untold[family] && !learned->known[family])
			return true;
	return false;
}

static void take_arrival(struct nic_view *view, const struct arrival *arrival)
{
	static const enum nic_value watched[] = {VALUE_FUNCTION, VALUE_TABLE, VALUE_QUEUE_CPU,
						 VALUE_QUEUES, VALUE_FIELDS};

	view->arrival = *arrival;
	for (unsigned i = 0; i < sizeof(watched) / sizeof(watched[0]); i++)
		nic_known(view, watched[i], ORIGIN_WATCHED);
}

void nic_apply_learned(struct nic_view *view, const struct learned *learned)
{
	if (!(learned->spread[FLOW_IPV4] || learned->spread[FLOW_IPV6]) ||
	    would_lose(view, learned))
		return;
	view->learned = true;
	view->cpus = learned->receiving;
	view->multi_queue = view->spreads = CPU_COUNT(&view->cpus) > 1;
	view->spreads_not = view->spreads ? REASON_NONE : REASON_ONE_CPU;
	if (learned->known[FLOW_IPV4] || learned->known[FLOW_IPV6])
		take_arrival(view, &learned->arrival);
	for (int family = 0; family < FLOW_FAMILIES; family++) {
		view->predictable[family] = learned->known[family];
		view->predictable_not[family] = learned->known[family] ? REASON_NONE : REASON_LEARN;
	}
}
