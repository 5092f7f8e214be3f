#include "shim/decide/learn_table.h"
#include <string.h>

#define SIZE_MIN           2
#define QUEUE_UNKNOWN      UINT16_MAX
#define SURPRISES_MIN      24 /* right ones that the one before of its kind spoke against ... */
#define SURPRISES_TO_WRONG 6  /* ... for each that is wrong */
#define WRONG_ONE_IN       25
#define JUDGED             16
#define JUDGED_BAD         5
#define KEY_LEN            40

/* From the oldest. */
static void evidence_add(struct learn_evidence *e, const struct arrival *a, const struct learn *l)
{
	for (unsigned n = l ? l->kept : 0; n > 0; n--) {
		const struct learn_seen *seen = &l->seen[(l->next + LEARN_KEPT - n) % LEARN_KEPT];
		struct flow flow;

		flow_of_tuple(&flow, &seen->tuple, l->family);
		if (e->count == FLOW_FAMILIES * LEARN_KEPT ||
		    !arrival_hash(a, &flow, &e->hash[e->count]))
			continue;
		e->surprise[e->count] = learn_was_surprise(l, n);
		e->cpu[e->count++] = seen->cpu;
	}
}

/* Whether flows that share an entry of a table of this size share their CPU, so often against
 * expectation that chance cannot be why. */
static bool size_explains(struct learn_evidence *e, uint32_t size)
{
	int16_t *cpu = e->entry;
	unsigned shared = 0, surprises = 0, wrong = 0;

	for (uint32_t i = 0; i < size; i++)
		cpu[i] = -1;
	for (unsigned i = 0; i < e->count; i++) {
		int16_t *entry = &cpu[e->hash[i] & (size - 1)];

		if (*entry >= 0) {
			shared++;
			wrong += *entry != e->cpu[i];
			surprises += *entry == e->cpu[i] && e->surprise[i];
		}
		*entry = e->cpu[i];
	}
	/* One wrong observation disagrees with the one before it and the one behind it. */
	return surprises >= SURPRISES_MIN && wrong * WRONG_ONE_IN <= 2 * shared &&
	       SURPRISES_TO_WRONG * wrong < surprises;
}

static int queue_of(struct arrival *a, int cpu)
{
	unsigned q = 0;

	while (q < a->queue_count && a->queue_cpu[q] != cpu)
		q++;
	if (q == RSS_QUEUES_MAX)
		return -1;
	if (q == a->queue_count) {
		a->queue_cpu[q] = (int16_t)cpu;
		a->queue_count++;
	}
	return (int)q;
}

static enum learn_verdict entry_observe(struct learn_table *table, uint32_t hash, int cpu)
{
	struct arrival *a = &table->arrival;
	uint32_t bucket = hash & (a->table.size - 1);
	uint16_t *entry = &a->table.queue[bucket];
	uint8_t *doubt = &table->doubt[bucket / 8], bit = (uint8_t)(1u << bucket % 8);
	int queue = queue_of(a, cpu);

	if (queue < 0)
		return LEARN_CONTRADICTED;
	if (*entry == QUEUE_UNKNOWN) {
		*entry = (uint16_t)queue;
		return LEARN_TAUGHT;
	}
	if (*entry == queue) {
		*doubt &= (uint8_t)~bit;
		return LEARN_CONFIRMED;
	}
	if (*doubt & bit)
		*entry = (uint16_t)queue;
	*doubt ^= bit;
	return LEARN_CONTRADICTED;
}

bool learn_table_init(struct learn_table *table, const struct rss_hash *hash,
		      const struct learn *ipv4, const struct learn *ipv6, struct learn_evidence *e)
{
	uint32_t size = SIZE_MIN;

	memset(table, 0, sizeof(*table));
	table->arrival.hash = *hash;
	arrival_seal(&table->arrival);
	e->count = 0;
	evidence_add(e, &table->arrival, ipv4);
	evidence_add(e, &table->arrival, ipv6);
	while (size <= RSS_TABLE_MAX && !size_explains(e, size))
		size *= 2;
	if (size > RSS_TABLE_MAX)
		return false;
	table->arrival.table.size = size;
	for (uint32_t i = 0; i < size; i++)
		table->arrival.table.queue[i] = QUEUE_UNKNOWN;
	for (unsigned i = 0; i < e->count; i++)
		entry_observe(table, e->hash[i], e->cpu[i]);
	return true;
}

/* Keys that are in drivers' sources or data sheets, as the NIC uses them. */
static const struct {
	const char *name;
	uint8_t key[KEY_LEN];
} published[] = {
	{"Microsoft",
	 {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
	  0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
	  0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa}},
	{"Microsoft reversed",
	 {0xfa, 0x01, 0xac, 0xbe, 0x3b, 0xb7, 0x42, 0x6a, 0x0c, 0xf2, 0x30, 0x80, 0xa3, 0x2d,
	  0xcb, 0x77, 0xb4, 0x30, 0x7b, 0xae, 0xcb, 0x2b, 0xca, 0xd0, 0xb0, 0x8f, 0xa3, 0x43,
	  0x3d, 0x25, 0x67, 0x41, 0xc2, 0x0e, 0x5b, 0x25, 0xda, 0x56, 0x5a, 0x6d}},
	{"6d:5a repeated",
	 {0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a,
	  0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a,
	  0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a}},
	{"mlx4",
	 {0xd1, 0x81, 0xc6, 0x2c, 0xf7, 0xf4, 0xdb, 0x5b, 0x19, 0x83, 0xa2, 0xfc, 0x94, 0x3e,
	  0x1a, 0xdb, 0xd9, 0x38, 0x9e, 0x6b, 0xd1, 0x03, 0x9c, 0x2c, 0xa7, 0x44, 0x99, 0xad,
	  0x59, 0x3d, 0x56, 0xd9, 0xf3, 0x25, 0x3c, 0x06, 0x2a, 0xdc, 0x1f, 0xfc}},
	{"mlx5",
	 {0x2c, 0xc6, 0x81, 0xd1, 0x5b, 0xdb, 0xf4, 0xf7, 0xfc, 0xa2, 0x83, 0x19, 0xdb, 0x1a,
	  0x3e, 0x94, 0x6b, 0x9e, 0x38, 0xd9, 0x2c, 0x9c, 0x03, 0xd1, 0xad, 0x99, 0x44, 0xa7,
	  0xd9, 0x56, 0x3d, 0x59, 0x06, 0x3c, 0x25, 0xf3, 0xfc, 0x1f, 0xdc, 0x2a}},
	{"i40e",
	 {0x44, 0x39, 0x79, 0x6b, 0xb5, 0x4c, 0x50, 0x23, 0xb6, 0x75, 0xea, 0x5b, 0x12, 0x4f,
	  0x9f, 0x30, 0xb8, 0xa2, 0xc0, 0x3d, 0xdf, 0xdc, 0x4d, 0x02, 0xa0, 0x8c, 0x9b, 0x33,
	  0x4a, 0xf6, 0x4a, 0x4c, 0x05, 0xc6, 0xfa, 0x34, 0x39, 0x58, 0xd8, 0x55}},
};

const char *learn_table_guess(struct learn_table *table, const struct learn *ipv4,
			      const struct learn *ipv6, struct learn_evidence *e)
{
	static const enum hash_transform transforms[] = {TRANSFORM_NONE, TRANSFORM_SYMMETRIC_XOR};

	for (unsigned i = 0; i < sizeof(published) / sizeof(published[0]); i++) {
		for (unsigned t = 0; t < 2; t++) {
			struct rss_hash hash = {.function = HASH_TOEPLITZ,
						.transform = transforms[t],
						.key_len = KEY_LEN};

			memcpy(hash.key, published[i].key, KEY_LEN);
			if (learn_table_init(table, &hash, ipv4, ipv6, e))
				return published[i].name;
		}
	}
	return NULL;
}

enum learn_verdict learn_table_observe(struct learn_table *table, const struct flow *flow, int cpu)
{
	enum learn_verdict verdict;
	uint32_t hash;

	if (!arrival_hash(&table->arrival, flow, &hash))
		return LEARN_CONTRADICTED;
	verdict = entry_observe(table, hash, cpu);
	if (verdict != LEARN_TAUGHT)
		table->recent = table->recent << 1 | (verdict == LEARN_CONTRADICTED);
	table->right += verdict == LEARN_CONFIRMED;
	table->wrong += verdict == LEARN_CONTRADICTED;
	return verdict;
}

bool learn_table_holds(const struct learn_table *table)
{
	return __builtin_popcount(table->recent & ((1u << JUDGED) - 1)) < JUDGED_BAD;
}
