/* What may be built on an interface, from everything known of it. */
#include "shim/kernel/procfs.h"
#include "shim/nic/nic_read.h"
#include <string.h>

/* Bytes of key that a hash of one family's addresses and ports uses. */
static const uint8_t key_needed[FLOW_FAMILIES] = {16, 40};

/* The operator described where packets arrive: no kind of interface is excluded then. */
static bool is_described(const struct nic_view *view)
{
	return view->arrival.hash.function == HASH_TOEPLITZ &&
	       (view->fact[VALUE_KEY].origin == ORIGIN_POLICY ||
		view->fact[VALUE_TABLE].origin == ORIGIN_POLICY ||
		view->fact[VALUE_QUEUE_CPU].origin == ORIGIN_POLICY);
}

static enum nic_reason kind_reason(const struct nic_view *view)
{
	if (is_described(view))
		return REASON_NONE;
	switch (view->kind) {
	case NIC_PHYSICAL:
		return REASON_NONE;
	case NIC_LOOPBACK:
		return REASON_LOOPBACK;
	case NIC_TUNNEL:
		return REASON_TUNNEL;
	case NIC_VLAN:
	case NIC_MACVLAN:
	case NIC_BOND:
		return REASON_NO_LOWER;
	default:
		return view->learn ? REASON_LEARN : REASON_LOCAL_LINK;
	}
}

struct queue_use {
	bool used[RSS_QUEUES_MAX];
	unsigned queues; /* that get packets */
	unsigned cpus_known;
	bool beyond; /* the table names a queue the NIC does not run */
};

static void use_queues(const struct nic_view *view, struct queue_use *use, cpu_set_t *cpus)
{
	const struct arrival *arrival = &view->arrival;

	memset(use, 0, sizeof(*use));
	for (uint32_t i = 0; i < arrival->table.size; i++)
		use->used[arrival->table.queue[i] % RSS_QUEUES_MAX] = true;
	for (unsigned i = 0; i < RSS_QUEUES_MAX; i++) {
		int cpu = arrival->queue_cpu[i];

		if (!arrival->table.size)
			use->used[i] = i < arrival->queue_count;
		if (!use->used[i])
			continue;
		if (arrival->queue_count && i >= arrival->queue_count) {
			use->beyond = true;
			continue;
		}
		use->queues++;
		if (cpu < 0 || cpu >= CPU_SETSIZE)
			continue;
		use->cpus_known++;
		CPU_SET(cpu, cpus);
	}
}

static enum nic_reason spread_reason(const struct nic_view *view, const struct queue_use *use)
{
	enum nic_reason reason = kind_reason(view);

	if (view->arrival.rps.count > 1)
		return REASON_NONE; /* RPS spreads what any device hands in */
	if (reason != REASON_NONE)
		return reason;
	if (use->queues < 2)
		return REASON_SINGLE_QUEUE;
	/* Where the CPU of a queue is unknown, the SYN itself will tell. */
	if (use->cpus_known == use->queues && cpu_set_single(&view->cpus) >= 0)
		return REASON_ONE_CPU;
	return REASON_NONE;
}

static enum nic_reason function_reason(const struct nic_view *view)
{
	const struct rss_hash *hash = &view->arrival.hash;

	if (view->learn)
		return REASON_LEARN;
	switch (hash->function) {
	case HASH_TOEPLITZ:
		return REASON_NONE;
	case HASH_NONE:
		return REASON_POLICY;
	case HASH_XOR:
	case HASH_CRC32:
		return REASON_NOT_LINEAR;
	default:
		return hash->key_len ? REASON_NO_FUNCTION : REASON_NO_KEY;
	}
}

static enum nic_reason port_reason(const struct nic_view *view, const struct queue_use *use,
				   enum flow_family family)
{
	const struct arrival *arrival = &view->arrival;
	enum hash_fields fields = arrival->hash.fields[family];
	bool by_rps = arrival->rps.count > 1;
	enum nic_reason reason = spread_reason(view, use);

	if (reason != REASON_NONE)
		return reason;
	if (by_rps && !is_described(view) && view->kind != NIC_PHYSICAL)
		return REASON_RPS_HASH;
	if (view->flow_director || view->rfs)
		return REASON_FOLLOWS_FLOW;
	if (view->rules)
		return REASON_RULES;
	reason = function_reason(view);
	if (reason != REASON_NONE)
		return reason;
	if (arrival->hash.key_len < key_needed[family])
		return REASON_NO_KEY;
	if (fields == FIELDS_ADDRESSES)
		return REASON_NO_PORTS;
	if (fields != FIELDS_4_TUPLE || !nic_knows(view, VALUE_FIELDS))
		return REASON_FIELDS;
	if (view->rps_differs)
		return REASON_RPS_DIFFERS;
	if (by_rps)
		return view->rx_hash ? REASON_NONE : REASON_RPS_HASH;
	if (!arrival->table.size)
		return REASON_NO_TABLE;
	if (use->beyond && view->fact[VALUE_TABLE].origin != ORIGIN_POLICY)
		return REASON_RSS_OFF;
	return use->cpus_known ? REASON_NONE : REASON_QUEUE_CPU;
}

void nic_judge(struct nic_view *view)
{
	struct rps_map *rps = &view->arrival.rps;
	struct queue_use use;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	use_queues(view, &use, &cpus);
	view->multi_queue = use.queues > 1;
	if (rps->count <= 1)
		view->cpus = cpus;
	view->spreads_not = spread_reason(view, &use);
	view->spreads = view->spreads_not == REASON_NONE;
	for (int family = 0; family < FLOW_FAMILIES; family++) {
		view->predictable_not[family] = port_reason(view, &use, (enum flow_family)family);
		view->predictable[family] = view->predictable_not[family] == REASON_NONE;
	}
	rps->unknown = rps->count > 1 && (view->rps_differs || !view->rx_hash);
	arrival_seal(&view->arrival);
	nic_judge_learnable(view);
}
