#include "shim/decide/linear_map.h"

void linear_map_init(struct linear_map *map, enum flow_family family,
		     const uint64_t column[TUPLE_BITS], uint64_t origin)
{
	unsigned rows = family == FLOW_IPV6 ? TUPLE_BITS / 4 : LINEAR_MAP_IPV4_ROWS;
	uint64_t(*row)[16] = map->nibble + (family == FLOW_IPV6 ? LINEAR_MAP_IPV4_ROWS : 0);

	map->known[family] = true;
	map->origin[family] = origin;
	for (unsigned n = 0; n < rows; n++) {
		row[n][0] = 0;
		for (unsigned value = 1; value < 16; value++) {
			unsigned low = (unsigned)__builtin_ctz(value);

			row[n][value] = row[n][value & (value - 1)] ^ column[4 * n + low];
		}
	}
}

/* What half a word of the tuple adds: written out, for the loop would cost more than the look-ups.
 */
static inline uint64_t half_word(const uint64_t (*row)[16], uint32_t half)
{
	return row[0][half & 15] ^ row[1][half >> 4 & 15] ^ row[2][half >> 8 & 15] ^
	       row[3][half >> 12 & 15] ^ row[4][half >> 16 & 15] ^ row[5][half >> 20 & 15] ^
	       row[6][half >> 24 & 15] ^ row[7][half >> 28];
}

uint64_t linear_map_value(const struct linear_map *map, const struct flow *flow)
{
	enum flow_family family = flow_family(flow);
	const uint64_t(*row)[16] = map->nibble + (family == FLOW_IPV6 ? LINEAR_MAP_IPV4_ROWS : 0);
	unsigned halves = (family == FLOW_IPV6 ? TUPLE_BITS : 4 * LINEAR_MAP_IPV4_ROWS) / 32;
	uint64_t value = map->origin[family];
	struct tuple tuple;

	tuple_of_flow(&tuple, flow);
	tuple.word[0] &= ~(uint64_t)UINT16_MAX; /* the local port */
	for (unsigned i = 0; i < halves; i++)
		value ^= half_word(row + 8 * i, (uint32_t)(tuple.word[i / 2] >> 32 * (i % 2)));
	return value;
}
