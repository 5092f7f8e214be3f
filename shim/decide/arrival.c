#include "shim/decide/arrival.h"
#include <string.h>

void arrival_seal(struct arrival *a)
{
	size_t len = a->hash.key_len < RSS_KEY_MAX ? a->hash.key_len : RSS_KEY_MAX;

	if (a->hash.function == HASH_LEARNED)
		return;
	toeplitz_init(&a->toeplitz, a->hash.key, a->hash.function == HASH_TOEPLITZ ? len : 0);
}

struct pair {
	uint32_t first, second;
};

/* The transforms work on each bit of a pair of fields by itself; both halves of what they make go
 * where the two fields would have gone. Without branches: a flow asks up to five times. */
static inline struct pair transformed(enum hash_transform transform, uint32_t remote,
				      uint32_t local)
{
	uint32_t mix = transform == TRANSFORM_NONE ? 0 : UINT32_MAX;
	uint32_t not_both = transform == TRANSFORM_SYMMETRIC_OR_XOR ? remote : 0;

	return (struct pair){remote ^ (local & mix & ~not_both), local ^ (remote & mix)};
}

uint32_t arrival_ports_hash(const struct arrival *a, enum flow_family family, uint16_t remote_port,
			    uint16_t local_port)
{
	struct pair ports = transformed(a->hash.transform, remote_port, local_port);

	if (a->hash.function == HASH_LEARNED)
		return (uint32_t)linear_map_port(&a->learned, family, local_port);
	if (a->hash.fields[family] != FIELDS_4_TUPLE)
		return 0;
	return toeplitz_word(&a->toeplitz, 2 * flow_address_words(family),
			     ports.first << 16 | ports.second);
}

/* A learned map counts the remote port among the addresses: only the local one is free. */
static bool learned_addresses(const struct linear_map *map, const struct flow *flow, uint32_t *hash)
{
	uint64_t value = linear_map_value(map, flow);

	*hash = (uint32_t)value;
	return map->known[flow_family(flow)] && value >> LINEAR_MAP_INDEX_BITS == 0;
}

bool arrival_addresses_hash(const struct arrival *a, const struct flow *flow, uint32_t *hash)
{
	enum flow_family family = flow_family(flow);
	enum hash_fields fields = a->hash.fields[family];
	unsigned words = flow_address_words(family);
	uint32_t h = a->hash.initial;

	if (a->hash.function == HASH_LEARNED)
		return learned_addresses(&a->learned, flow, hash);
	if (fields == FIELDS_OTHER || a->toeplitz.words < 2 * words + (fields == FIELDS_4_TUPLE))
		return false;
	for (unsigned i = 0; i < words; i++) {
		struct pair pair =
			transformed(a->hash.transform, flow_address_word(flow->remote, i),
				    flow_address_word(flow->local, i));

		h ^= toeplitz_word(&a->toeplitz, i, pair.first) ^
		     toeplitz_word(&a->toeplitz, words + i, pair.second);
	}
	*hash = h;
	return true;
}

bool arrival_hash(const struct arrival *a, const struct flow *flow, uint32_t *hash)
{
	if (!arrival_addresses_hash(a, flow, hash))
		return false;
	*hash ^= arrival_ports_hash(a, flow_family(flow), flow->remote_port, flow->local_port);
	return true;
}

static int known_cpu(int cpu)
{
	return cpu >= 0 && cpu < RSS_CPUS_MAX ? cpu : -1;
}

static int cpu_of_queue(const struct arrival *a, int queue)
{
	if (queue < 0 || queue >= a->queue_count || queue >= RSS_QUEUES_MAX)
		return -1;
	return known_cpu(a->queue_cpu[queue]);
}

struct arrival_place arrival_of_hash(const struct arrival *a, uint32_t hash)
{
	struct arrival_place place = {.hashed = true, .hash = hash, .queue = -1};
	/* Read once each: a reader may race with a new version, and learns of it later. */
	uint32_t size = a->table.size;
	uint32_t cpus = a->rps.count;

	place.bucket = -1;
	if (size && size <= RSS_TABLE_MAX) {
		place.bucket = (int)(size & (size - 1) ? hash % size : hash & (size - 1));
		place.queue = a->table.queue[place.bucket];
	} else if (a->queue_count == 1) {
		place.queue = 0;
	}
	place.cpu = cpu_of_queue(a, place.queue);
	if (a->rps.unknown)
		place.cpu = -1;
	/* get_rps_cpu() takes a hash of 0 for none and stays on the queue's CPU: one flow in 2^32,
	 * left to the sampling that finds wrong predictions. */
	else if (cpus && cpus <= RSS_RPS_MAX)
		place.cpu = known_cpu(a->rps.cpu[(uint64_t)hash * cpus >> 32]);
	return place;
}

struct arrival_place arrival_of(const struct arrival *a, const struct flow *flow)
{
	struct arrival_place place = {.bucket = -1, .queue = -1, .cpu = -1};
	uint32_t hash;

	if (arrival_hash(a, flow, &hash)) {
		place = arrival_of_hash(a, hash);
		/* Only a hash of addresses and ports is passed on to RPS as the flow's; the kernel
		 * replaces any other by one with a secret of its own (skb_get_hash). */
		if (a->rps.count > 1 && a->hash.fields[flow_family(flow)] != FIELDS_4_TUPLE)
			place.cpu = -1;
		return place;
	}
	/* Without a hash only what the hash cannot change is known. */
	if (a->queue_count == 1) {
		place.queue = 0;
		if (!a->rps.unknown && !a->rps.count)
			place.cpu = cpu_of_queue(a, 0);
	}
	return place;
}

static bool same_hash(const struct rss_hash *a, const struct rss_hash *b)
{
	return a->function == b->function && a->transform == b->transform &&
	       a->initial == b->initial && !memcmp(a->fields, b->fields, sizeof(a->fields)) &&
	       a->key_len == b->key_len && !memcmp(a->key, b->key, a->key_len);
}

static bool same_map(const struct arrival *a, const struct arrival *b)
{
	return a->hash.function != HASH_LEARNED ||
	       (!memcmp(a->learned.known, b->learned.known, sizeof(a->learned.known)) &&
		!memcmp(a->learned.origin, b->learned.origin, sizeof(a->learned.origin)) &&
		!memcmp(a->learned.nibble, b->learned.nibble, sizeof(a->learned.nibble)));
}

bool arrival_same(const struct arrival *a, const struct arrival *b)
{
	return same_hash(&a->hash, &b->hash) && same_map(a, b) && a->table.size == b->table.size &&
	       !memcmp(a->table.queue, b->table.queue, a->table.size * sizeof(uint16_t)) &&
	       !memcmp(a->queue_cpu, b->queue_cpu, sizeof(a->queue_cpu)) &&
	       a->rps.count == b->rps.count &&
	       !memcmp(a->rps.cpu, b->rps.cpu, a->rps.count * sizeof(uint16_t));
}

static uint64_t mix(uint64_t sum, const void *bytes, size_t len)
{
	const uint8_t *byte = bytes;

	for (size_t i = 0; i < len; i++)
		sum = (sum ^ byte[i]) * 0x100000001b3u;
	return sum;
}

static uint64_t mix_learned(uint64_t sum, const struct linear_map *map)
{
	sum = mix(sum, map->known, sizeof(map->known));
	sum = mix(sum, map->origin, sizeof(map->origin));
	return mix(sum, map->nibble, sizeof(map->nibble));
}

uint64_t arrival_fingerprint(const struct arrival *a)
{
	uint32_t numbers[] = {a->hash.function, a->hash.transform, a->hash.initial,
			      a->table.size,    a->rps.count,      a->rps.unknown};
	uint64_t sum = mix(0xcbf29ce484222325u, numbers, sizeof(numbers));

	sum = mix(sum, a->hash.fields, sizeof(a->hash.fields));
	sum = mix(sum, a->hash.key, a->hash.key_len);
	sum = mix(sum, a->table.queue, a->table.size * sizeof(a->table.queue[0]));
	sum = mix(sum, a->queue_cpu, sizeof(a->queue_cpu));
	sum = mix(sum, a->rps.cpu, a->rps.count * sizeof(a->rps.cpu[0]));
	if (a->hash.function == HASH_LEARNED)
		sum = mix_learned(sum, &a->learned);
	return sum ? sum : 1;
}
