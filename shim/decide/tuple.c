#include "shim/decide/tuple.h"
#include <string.h>

/* Position of the remote address. */
static unsigned remote_bit(enum flow_family family)
{
	return family == FLOW_IPV6 ? 160 : 64;
}

static unsigned address_bytes(enum flow_family family)
{
	return family == FLOW_IPV6 ? 16 : 4;
}

static void put_byte(struct tuple *t, unsigned bit, uint8_t byte)
{
	t->word[bit / 64] |= (uint64_t)byte << bit % 64;
}

void tuple_of_flow(struct tuple *tuple, const struct flow *flow)
{
	enum flow_family family = flow_family(flow);

	memset(tuple, 0, sizeof(*tuple));
	tuple->word[0] = (uint64_t)flow->remote_port << 16 | flow->local_port;
	for (unsigned i = 0; i < address_bytes(family); i++) {
		put_byte(tuple, 32 + 8 * i, flow->local[i]);
		put_byte(tuple, remote_bit(family) + 8 * i, flow->remote[i]);
	}
}

void flow_of_tuple(struct flow *flow, const struct tuple *tuple, enum flow_family family)
{
	memset(flow, 0, sizeof(*flow));
	flow->family = family == FLOW_IPV6 ? AF_INET6 : AF_INET;
	flow->local_port = (uint16_t)tuple->word[0];
	flow->remote_port = (uint16_t)(tuple->word[0] >> 16);
	for (unsigned i = 0; i < address_bytes(family); i++) {
		unsigned local = 32 + 8 * i, remote = remote_bit(family) + 8 * i;

		flow->local[i] = (uint8_t)(tuple->word[local / 64] >> local % 64);
		flow->remote[i] = (uint8_t)(tuple->word[remote / 64] >> remote % 64);
	}
}

unsigned tuple_lowest(const struct tuple *t)
{
	for (unsigned i = 0; i < TUPLE_WORDS; i++) {
		if (t->word[i])
			return 64 * i + (unsigned)__builtin_ctzll(t->word[i]);
	}
	return 64 * TUPLE_WORDS;
}

void tuple_reduce(const struct tuple_span *span, struct tuple *vector, struct tuple *used)
{
	/* No basis vector contains another's leading bit: what there is to take out is known
	 * before the first one is. */
	for (unsigned i = 0; i < TUPLE_WORDS; i++) {
		uint64_t bits = vector->word[i] & span->leading.word[i];

		if (used)
			used->word[i] = bits;
		for (; bits; bits &= bits - 1)
			tuple_xor(vector, &span->basis[64 * i + (unsigned)__builtin_ctzll(bits)]);
	}
}

unsigned tuple_span_add(struct tuple_span *span, const struct tuple *vector, struct tuple *changed)
{
	struct tuple unseen;
	unsigned lead;

	*changed = (struct tuple){0};
	for (unsigned i = 0; i < TUPLE_WORDS; i++)
		unseen.word[i] = vector->word[i] & ~span->support.word[i];
	lead = tuple_lowest(&unseen);
	if (lead >= TUPLE_BITS) {
		lead = tuple_lowest(vector);
		for (unsigned b = 0; b < TUPLE_BITS; b++) {
			if (!tuple_bit(&span->leading, b) || !tuple_bit(&span->basis[b], lead))
				continue;
			tuple_xor(&span->basis[b], vector);
			tuple_flip(changed, b);
		}
	}
	for (unsigned i = 0; i < TUPLE_WORDS; i++)
		span->support.word[i] |= vector->word[i];
	span->basis[lead] = *vector;
	tuple_flip(&span->leading, lead);
	span->rank++;
	return lead;
}
