/* Values of a [nic] section, which replace what the kernel says one by one. */
#include "shim/nic/nic_read.h"
#include "shim/policy/policy.h"
#include <string.h>

static void apply_hash(struct nic_view *view, const struct policy_nic *nic)
{
	struct rss_hash *hash = &view->arrival.hash;

	view->settled = nic->hash == NIC_HASH_TOEPLITZ || nic->hash == NIC_HASH_NONE;
	switch (nic->hash) {
	case NIC_HASH_AUTO:
		break;
	case NIC_HASH_TOEPLITZ:
		hash->function = HASH_TOEPLITZ;
		nic_known(view, VALUE_FUNCTION, ORIGIN_POLICY);
		break;
	case NIC_HASH_NONE:
		hash->function = HASH_NONE;
		nic_known(view, VALUE_FUNCTION, ORIGIN_POLICY);
		break;
	case NIC_HASH_LEARN:
		hash->function = HASH_UNKNOWN;
		view->learn = true;
		nic_known(view, VALUE_FUNCTION, ORIGIN_POLICY);
		break;
	}
	if (!nic->hash_key.len)
		return;
	memcpy(hash->key, nic->hash_key.byte, nic->hash_key.len);
	hash->key_len = nic->hash_key.len;
	nic_known(view, VALUE_KEY, ORIGIN_POLICY);
	/* Only Toeplitz has a key: naming one names the function where nobody else does. */
	if (nic->hash == NIC_HASH_AUTO && hash->function != HASH_TOEPLITZ) {
		hash->function = HASH_TOEPLITZ;
		nic_known(view, VALUE_FUNCTION, ORIGIN_POLICY);
	}
}

static void apply_words(struct nic_view *view, const struct policy_nic *nic)
{
	struct rss_hash *hash = &view->arrival.hash;

	if (nic->transform != NIC_TRANSFORM_AUTO) {
		hash->transform = nic->transform == NIC_TRANSFORM_SYMMETRIC_XOR
					  ? TRANSFORM_SYMMETRIC_XOR
				  : nic->transform == NIC_TRANSFORM_SYMMETRIC_OR_XOR
					  ? TRANSFORM_SYMMETRIC_OR_XOR
					  : TRANSFORM_NONE;
		nic_known(view, VALUE_TRANSFORM, ORIGIN_POLICY);
	}
	if (nic->fields != NIC_FIELDS_AUTO) {
		for (int family = 0; family < FLOW_FAMILIES; family++)
			hash->fields[family] = nic->fields == NIC_FIELDS_ADDRESSES
						       ? FIELDS_ADDRESSES
						       : FIELDS_4_TUPLE;
		nic_known(view, VALUE_FIELDS, ORIGIN_POLICY);
	} else if (!nic_knows(view, VALUE_FIELDS) && hash->function == HASH_TOEPLITZ) {
		/* A section that names a key and no fields means the usual ones. */
		nic_known(view, VALUE_FIELDS, ORIGIN_POLICY);
	}
}

/* "equal N" is what ethtool -X makes: as many entries as the NIC's own table, 128 where that is
 * unknown, the size of most drivers. */
static void apply_table(struct nic_view *view, const struct policy *policy,
			const struct policy_table *given)
{
	const uint16_t *entries = policy_values(policy, &given->entry);
	struct rss_table *table = &view->arrival.table;

	if (!given->equal && !given->entry.count)
		return;
	if (given->equal && !table->size)
		table->size = 128;
	if (!given->equal)
		table->size =
			given->entry.count < RSS_TABLE_MAX ? given->entry.count : RSS_TABLE_MAX;
	for (uint32_t i = 0; i < table->size; i++)
		table->queue[i] = (uint16_t)(given->equal ? i % given->equal : entries[i]);
	nic_known(view, VALUE_TABLE, ORIGIN_POLICY);
}

static void apply_queue_cpus(struct nic_view *view, const struct policy *policy,
			     const struct policy_list *list)
{
	const uint16_t *cpus = policy_values(policy, list);
	struct arrival *arrival = &view->arrival;

	if (!list->count)
		return;
	arrival->queue_count = list->count < RSS_QUEUES_MAX ? list->count : RSS_QUEUES_MAX;
	for (int i = 0; i < RSS_QUEUES_MAX; i++) {
		arrival->queue_cpu[i] = (int16_t)(i < arrival->queue_count ? cpus[i] : -1);
		/* Their affinity says nothing any more. */
		view->queue_irq[i] = view->queue_thread[i] = -1;
	}
	nic_known(view, VALUE_QUEUES, ORIGIN_POLICY);
	nic_known(view, VALUE_QUEUE_CPU, ORIGIN_POLICY);
	/* The section tells where the stack runs in the end, so nothing comes after it. */
	arrival->rps.count = 0;
	view->rps_differs = false;
	nic_known(view, VALUE_RPS, ORIGIN_POLICY);
}

bool nic_apply_policy(struct nic_view *view, const struct policy *policy)
{
	const struct policy_nic *nic = policy ? policy_nic(policy, view->name) : NULL;

	if (!nic)
		return false;
	apply_hash(view, nic);
	apply_words(view, nic);
	apply_table(view, policy, &nic->indirection);
	apply_queue_cpus(view, policy, &nic->queue_cpus);
	/* What the operator gave in full is not the driver's to be wrong about. */
	if (view->fact[VALUE_KEY].origin == ORIGIN_POLICY &&
	    view->fact[VALUE_TABLE].origin == ORIGIN_POLICY)
		view->doubtful = false;
	return true;
}
