/* A flow's addresses and ports as one vector over GF(2), and spaces of such vectors. */
#pragma once
#include "shim/decide/flow.h"
#include <stdbool.h>
#include <stdint.h>

#define TUPLE_WORDS 5
#define TUPLE_BITS  288 /* two IPv6 addresses and two ports; IPv4 uses the first 96 */

/* Bits 0-15 local port, 16-31 remote port, then the local and the remote address. */
struct tuple {
	uint64_t word[TUPLE_WORDS];
};

/* A linear space by its basis in reduced echelon form: each vector has a leading bit that no other
 * vector contains. So what is left of a vector after the leading bits are taken out is the same for
 * all vectors that differ by one of the space. */
struct tuple_span {
	uint16_t rank;
	struct tuple leading; /* the leading bits */
	struct tuple support; /* bits that any vector contains, or ever contained */
	struct tuple basis[TUPLE_BITS];
};

void tuple_of_flow(struct tuple *tuple, const struct flow *flow);
void flow_of_tuple(struct flow *flow, const struct tuple *tuple, enum flow_family family);

static inline void tuple_xor(struct tuple *a, const struct tuple *b)
{
	for (unsigned i = 0; i < TUPLE_WORDS; i++)
		a->word[i] ^= b->word[i];
}

static inline bool tuple_equal(const struct tuple *a, const struct tuple *b)
{
	uint64_t differ = 0;

	for (unsigned i = 0; i < TUPLE_WORDS; i++)
		differ |= a->word[i] ^ b->word[i];
	return differ == 0;
}

static inline bool tuple_bit(const struct tuple *t, unsigned bit)
{
	return t->word[bit / 64] >> bit % 64 & 1;
}

static inline void tuple_flip(struct tuple *t, unsigned bit)
{
	t->word[bit / 64] ^= 1ull << bit % 64;
}

/* The lowest bit that is set; TUPLE_BITS or more if none is. */
unsigned tuple_lowest(const struct tuple *t);

static inline bool tuple_is_none(const struct tuple *t)
{
	return tuple_lowest(t) >= TUPLE_BITS;
}

/* Takes the leading bits out of `vector`, and notes them in `used` (may be NULL). */
void tuple_reduce(const struct tuple_span *span, struct tuple *vector, struct tuple *used);

/* Adds a vector that is reduced and not 0; returns its leading bit: one that no other vector has
 * had yet, where there is one. Else it is taken out of those that have it, whose leading bits are
 * in `changed`. */
unsigned tuple_span_add(struct tuple_span *span, const struct tuple *vector, struct tuple *changed);
