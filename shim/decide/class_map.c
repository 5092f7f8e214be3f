#include "shim/decide/class_map.h"
#include <string.h>

/* The members of a class: buckets of the table, or positions in the map of RPS. */
struct members {
	uint32_t next, end, step;
};

static bool by_rps(const struct arrival *a)
{
	return a->rps.count && a->rps.count <= RSS_RPS_MAX;
}

static struct members members_of(const struct class_map *map, const struct arrival *a,
				 uint32_t class)
{
	uint32_t count = a->rps.count;

	if (by_rps(a)) {
		uint64_t from = (uint64_t) class << map->shift;
		uint64_t last = from + ((uint64_t)1 << map->shift) - 1;

		return (struct members){(uint32_t)(from * count >> 32),
					(uint32_t)(last * count >> 32) + 1, 1};
	}
	if (a->table.size == 0)
		return (struct members){0, 1, 1};
	return (struct members){class, a->table.size, 1u << map->bits};
}

static int cpu_of_member(const struct arrival *a, uint32_t member)
{
	uint32_t hash = member;

	/* The smallest hash that RPS scales to this position. */
	if (by_rps(a))
		hash = (uint32_t)((((uint64_t)member << 32) + a->rps.count - 1) / a->rps.count);
	return arrival_of_hash(a, hash).cpu;
}

static unsigned ceil_log2(uint32_t n)
{
	return n > 1 ? 32 - (unsigned)__builtin_clz(n - 1) : 0;
}

static void choose_bits(struct class_map *map, const struct arrival *a)
{
	unsigned bits;

	if (by_rps(a)) {
		bits = ceil_log2(a->rps.count);
		/* Finer classes than CPUs, so that few of them lie across a border. */
		if (a->rps.count & (a->rps.count - 1))
			bits += 3;
	} else {
		bits = a->table.size ? (unsigned)__builtin_ctz(a->table.size) : 0;
	}
	map->bits = (uint8_t)(bits < CLASS_BITS_MAX ? bits : CLASS_BITS_MAX);
	/* A shift by all 32 bits is not defined; without bits to take none is needed. */
	map->shift = (uint8_t)(by_rps(a) && map->bits ? 32 - map->bits : 0);
}

/* Counts the classes of each CPU into first[cpu], or, with `fill`, writes them to the place that
 * first[cpu] says and moves it on. */
static void classes_visit(struct class_map *map, const struct arrival *a, bool fill)
{
	uint16_t seen[RSS_CPUS_MAX] = {0}; /* class + 1 last listed for this CPU */

	for (uint32_t class = 0; class < 1u << map->bits; class ++) {
		struct members m = members_of(map, a, class);
		int only = -2;

		for (; m.next < m.end; m.next += m.step) {
			int cpu = cpu_of_member(a, m.next);

			if (only != -2 && cpu != only)
				map->mixed = true;
			only = cpu;
			if (cpu < 0 || seen[cpu] == class + 1)
				continue;
			seen[cpu] = (uint16_t)(class + 1);
			if (fill)
				map->list[map->first[cpu]] = (uint16_t) class;
			map->first[cpu]++;
		}
	}
}

void class_map_init(struct class_map *map, const struct arrival *a)
{
	uint16_t sum = 0;

	memset(map, 0, sizeof(*map));
	if (a->table.size > RSS_TABLE_MAX || a->rps.count > RSS_RPS_MAX)
		return;
	choose_bits(map, a);
	classes_visit(map, a, false);
	for (unsigned cpu = 0; cpu <= RSS_CPUS_MAX; cpu++) {
		uint16_t count = map->first[cpu];

		map->first[cpu] = sum;
		sum += count;
	}
	classes_visit(map, a, true);
	/* Filling has moved every start to the next one's. */
	memmove(map->first + 1, map->first, RSS_CPUS_MAX * sizeof(map->first[0]));
	map->first[0] = 0;
}
