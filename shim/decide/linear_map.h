/* An affine map from flows to 64 bits, one look-up for each nibble of the flow. */
#pragma once
#include "shim/decide/tuple.h"

#define LINEAR_MAP_INDEX_BITS 12

#define LINEAR_MAP_IPV4_ROWS 24 /* nibbles of an IPv4 tuple */

/* The low bits of the value are an index into the arrival's table. The others do not depend on the
 * local port; where any of them is set, nothing is known of the flow. */
struct linear_map {
	bool known[FLOW_FAMILIES];
	uint64_t origin[FLOW_FAMILIES];                             /* value of a flow of zeroes */
	uint64_t nibble[LINEAR_MAP_IPV4_ROWS + TUPLE_BITS / 4][16]; /* IPv4's first */
};

/* column[i]: what bit i of the tuple does to the value. */
void linear_map_init(struct linear_map *map, enum flow_family family,
		     const uint64_t column[TUPLE_BITS], uint64_t origin);

/* The value without what the local port adds. */
uint64_t linear_map_value(const struct linear_map *map, const struct flow *flow);

/* What the local port adds. */
static inline uint64_t linear_map_port(const struct linear_map *map, enum flow_family family,
				       uint16_t port)
{
	const uint64_t(*row)[16] = map->nibble + (family == FLOW_IPV6 ? LINEAR_MAP_IPV4_ROWS : 0);

	return row[0][port & 15] ^ row[1][port >> 4 & 15] ^ row[2][port >> 8 & 15] ^
	       row[3][port >> 12];
}
