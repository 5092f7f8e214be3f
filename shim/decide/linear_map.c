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

uint64_t linear_map_value(const struct linear_map *map, const struct flow *flow)
{
	enum flow_family family = flow_family(flow);
	const uint64_t(*row)[16] = map->nibble + (family == FLOW_IPV6 ? LINEAR_MAP_IPV4_ROWS : 0);
	unsigned rows = family == FLOW_IPV6 ? TUPLE_BITS / 4 : LINEAR_MAP_IPV4_ROWS;
	uint64_t value = map->origin[family];
	struct tuple tuple;

	tuple_of_flow(&tuple, flow);
	for (unsigned n = 4; n < rows; n++) /* the first four are the local port */
		value ^= row[n][tuple.word[n / 16] >> 4 * (n % 16) & 15];
	return value;
}
