/* RSS as the specification words it, a bit at a time: what the tests hold the library against.
 * Shares no code with it. Also the random inputs of the property tests, the same in every run. */
#pragma once
#include "shim/decide/arrival.h"
#include <string.h>

static const uint8_t reference_microsoft_key[40] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
	0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
	0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

/* "For each bit in input that is 1, xor the left-most 32 bits of the key; then shift the key." */
static inline uint32_t reference_toeplitz(const uint8_t *key, const uint8_t *input, unsigned from,
					  unsigned to)
{
	uint32_t hash = 0;

	for (unsigned i = 8 * from; i < 8 * to; i++) {
		const uint8_t *k = key + i / 8;
		uint64_t left = (uint64_t)k[0] << 32 | (uint64_t)k[1] << 24 | (uint64_t)k[2] << 16 |
				(uint64_t)k[3] << 8;

		if (i % 8)
			left |= k[4];
		if (input[i / 8] >> (7 - i % 8) & 1)
			hash ^= (uint32_t)(left << (i % 8) >> 8);
	}
	return hash;
}

/* The bytes that are hashed; returns how many. */
static inline unsigned reference_input(uint8_t input[36], const struct rss_hash *how,
				       const struct flow *flow)
{
	unsigned n = flow->family == AF_INET6 ? 16 : 4;
	uint8_t remote[18], local[18];

	memcpy(remote, flow->remote, n);
	memcpy(local, flow->local, n);
	remote[n] = (uint8_t)(flow->remote_port >> 8);
	remote[n + 1] = (uint8_t)flow->remote_port;
	local[n] = (uint8_t)(flow->local_port >> 8);
	local[n + 1] = (uint8_t)flow->local_port;
	for (unsigned i = 0; i < n + 2; i++) {
		uint8_t r = remote[i], l = local[i];

		if (how->transform == TRANSFORM_SYMMETRIC_XOR)
			r = l = r ^ l;
		else if (how->transform == TRANSFORM_SYMMETRIC_OR_XOR)
			r |= l, l ^= remote[i];
		unsigned at = i < n ? i : n + i; /* ports follow both addresses */
		input[at] = r;
		input[at + (i < n ? n : 2)] = l;
	}
	return how->fields[flow->family == AF_INET6] == FIELDS_4_TUPLE ? 2 * n + 4 : 2 * n;
}

static inline uint32_t reference_hash(const struct rss_hash *how, const struct flow *flow)
{
	uint8_t input[36];
	unsigned len = reference_input(input, how, flow);

	return how->initial ^ reference_toeplitz(how->key, input, 0, len);
}

static inline int reference_cpu(const struct arrival *a, uint32_t hash)
{
	if (a->rps.count)
		return a->rps.cpu[((uint64_t)hash * a->rps.count) >> 32];
	return a->queue_cpu[a->table.queue[hash % a->table.size]];
}

/* The CPU of each of the 65536 local ports. */
static inline void reference_ports(int16_t *cpu, const struct arrival *a, struct flow flow)
{
	uint8_t input[36];
	uint32_t addresses;
	unsigned len;

	flow.local_port = 0;
	len = reference_input(input, &a->hash, &flow);
	len = flow.family == AF_INET6 ? 32 : 8;
	addresses = a->hash.initial ^ reference_toeplitz(a->hash.key, input, 0, len);
	for (unsigned port = 0; port < 65536; port++) {
		uint32_t hash = addresses;

		flow.local_port = (uint16_t)port;
		unsigned all = reference_input(input, &a->hash, &flow);
		hash ^= reference_toeplitz(a->hash.key, input, len, all);
		cpu[port] = (int16_t)reference_cpu(a, hash);
	}
}

static inline uint64_t random_next(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static inline unsigned random_below(uint64_t *state, unsigned bound)
{
	return (unsigned)(random_next(state) % bound);
}

static inline void random_bytes(uint64_t *state, uint8_t *bytes, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		bytes[i] = (uint8_t)random_next(state);
}

static inline struct flow random_flow(uint64_t *state, int family)
{
	struct flow flow = {.family = (uint8_t)family};

	random_bytes(state, flow.remote, family == AF_INET6 ? 16 : 4);
	random_bytes(state, flow.local, family == AF_INET6 ? 16 : 4);
	flow.remote_port = (uint16_t)random_next(state);
	flow.local_port = (uint16_t)random_next(state);
	return flow;
}

/* A NIC with this key, table size and number of queues, served by `cpus` CPUs in turn. */
static inline void arrival_fill(struct arrival *a, const uint8_t *key, unsigned key_len,
				unsigned size, unsigned queues, unsigned cpus)
{
	memset(a, 0, sizeof(*a));
	a->hash.function = HASH_TOEPLITZ;
	memcpy(a->hash.key, key, key_len);
	a->hash.key_len = (uint8_t)key_len;
	a->table.size = size;
	a->queue_count = (uint16_t)queues;
	for (unsigned i = 0; i < size; i++)
		a->table.queue[i] = (uint16_t)(i % queues);
	for (unsigned i = 0; i < queues; i++)
		a->queue_cpu[i] = (int16_t)(i % cpus);
	arrival_seal(a);
}
