/* Where the packets of a flow arrive: hash -> bucket -> receive queue -> CPU (-> CPU after RPS).
 *
 * One value answers it for one NIC, whatever the knowledge came from (reported by the driver, given
 * by the policy, or watched). Fill it in, seal it, publish it; immutable from then on. Pure: no
 * kernel in it. */
#pragma once
#include "shim/decide/flow.h"
#include "shim/decide/linear_map.h"
#include "shim/decide/toeplitz.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RSS_KEY_MAX    52
#define RSS_TABLE_MAX  4096
#define RSS_QUEUES_MAX 1024
#define RSS_RPS_MAX    1024
#define RSS_CPUS_MAX   1024 /* a CPU with a higher number counts as unknown */

enum hash_function {
	HASH_UNKNOWN,
	HASH_TOEPLITZ,
	HASH_XOR,
	HASH_CRC32,
	HASH_NONE,
	HASH_LEARNED /* no hash of the NIC's: what watching it has taught, see learn.h */
};
enum hash_transform { TRANSFORM_NONE, TRANSFORM_SYMMETRIC_XOR, TRANSFORM_SYMMETRIC_OR_XOR };
enum hash_fields { FIELDS_4_TUPLE, FIELDS_ADDRESSES, FIELDS_OTHER };

/* How a NIC hashes TCP packets. */
struct rss_hash {
	enum hash_function function;
	enum hash_transform transform;
	enum hash_fields fields[FLOW_FAMILIES];
	uint32_t initial; /* xored into every hash: 0xffffffff on some ENA, else 0 */
	uint8_t key[RSS_KEY_MAX];
	uint8_t key_len; /* bytes; 0: unknown. At least 16 for IPv4, 40 for IPv6 */
};

/* Bucket -> receive queue. Indexed by the low bits of the hash when size is a power of two,
 * by the remainder otherwise. */
struct rss_table {
	uint32_t size; /* entries; 0: unknown */
	uint16_t queue[RSS_TABLE_MAX];
};

/* RPS: the CPU that runs the stack when rps_cpus of a queue is not empty:
 * cpus[(hash * count) >> 32]. One map for all queues of the NIC, the common configuration. */
struct rps_map {
	bool unknown;   /* RPS is on, with a hash (rx-hash off) or maps we cannot follow */
	uint16_t count; /* 0: RPS off */
	uint16_t cpu[RSS_RPS_MAX];
};

struct arrival {
	struct rss_hash hash;
	struct rss_table table;
	uint16_t queue_count;
	int16_t queue_cpu[RSS_QUEUES_MAX]; /* -1: unknown */
	struct rps_map rps;
	union {
		struct toeplitz toeplitz; /* by arrival_seal() */
		struct linear_map learned;
	};
};

/* What is known of one flow. -1 where it is not known. */
struct arrival_place {
	bool hashed;   /* hash is known */
	uint32_t hash; /* 0 where it is not */
	int bucket;
	int queue;
	int cpu;
};

/* Expand the key. Before it, and after a change without it, no hash is known. */
void arrival_seal(struct arrival *a);

/* The hash of a flow; false where it cannot be known: another function, other fields, a key too
 * short for the family. */
bool arrival_hash(const struct arrival *a, const struct flow *flow, uint32_t *hash);

/* Its two parts, to be xored: the addresses', and what the ports add (0 where the NIC does not hash
 * them), which is affine in the bits of the local port as long as the remote one stays. The second
 * only for a family that the first can hash. */
bool arrival_addresses_hash(const struct arrival *a, const struct flow *flow, uint32_t *hash);
uint32_t arrival_ports_hash(const struct arrival *a, enum flow_family family, uint16_t remote_port,
			    uint16_t local_port);

/* Whether what the remote side adds to the hash does not depend on the local one. */
static inline bool arrival_remote_apart(const struct arrival *a)
{
	return a->hash.function == HASH_TOEPLITZ && a->hash.transform == TRANSFORM_NONE;
}

/* Where it is, what that is. Only for a family that can be hashed. */
static inline uint32_t arrival_remote_hash(const struct arrival *a, enum flow_family family,
					   const struct flow *flow)
{
	const struct toeplitz *t = &a->toeplitz;
	uint32_t hash = toeplitz_word(t, 0, flow_address_word(flow->remote, 0));

	/* Written out: a loop costs half as much again as what it does. */
	if (family == FLOW_IPV6)
		hash ^= toeplitz_word(t, 1, flow_address_word(flow->remote, 1)) ^
			toeplitz_word(t, 2, flow_address_word(flow->remote, 2)) ^
			toeplitz_word(t, 3, flow_address_word(flow->remote, 3));
	if (a->hash.fields[family] == FIELDS_4_TUPLE)
		hash ^= toeplitz_high_half(t, 2 * flow_address_words(family), flow->remote_port);
	return hash;
}

struct arrival_place arrival_of_hash(const struct arrival *a, uint32_t hash);
struct arrival_place arrival_of(const struct arrival *a, const struct flow *flow);

/* Whether every flow arrives on the same CPU by either. */
bool arrival_same(const struct arrival *a, const struct arrival *b);

/* Another one, but for chance, where what is known is another. Never 0. */
uint64_t arrival_fingerprint(const struct arrival *a);
