/* Which bits of a hash decide the CPU, and which of their values (classes) lead to which CPU.
 *
 * A table of 2^n entries is decided by the low n bits of the hash, RPS over 2^n CPUs by the high n
 * ones, and a class leads to one CPU. Neither is linear for other sizes: then the bits are those
 * that narrow the CPU down most, a class may lead to several CPUs, and a candidate has to be
 * checked by its whole hash. */
#pragma once
#include "shim/decide/arrival.h"

#define CLASS_BITS_MAX 12
#define CLASS_LIST_MAX (RSS_TABLE_MAX + RSS_RPS_MAX)

struct class_map {
	uint8_t bits;
	uint8_t shift;
	bool mixed; /* some class leads to more than one CPU, or to an unknown one as well */
	/* The classes of CPU c, ascending, are list[first[c]] up to list[first[c + 1]]. */
	uint16_t first[RSS_CPUS_MAX + 1];
	uint16_t list[CLASS_LIST_MAX];
};

void class_map_init(struct class_map *map, const struct arrival *a);

static inline uint16_t class_of_hash(const struct class_map *map, uint32_t hash)
{
	return (uint16_t)(hash >> map->shift & ((1u << map->bits) - 1));
}

static inline unsigned class_map_count(const struct class_map *map, unsigned cpu)
{
	return cpu < RSS_CPUS_MAX ? (unsigned)map->first[cpu + 1] - map->first[cpu] : 0;
}
