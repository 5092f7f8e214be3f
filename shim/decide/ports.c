#include "shim/decide/ports.h"
#include <string.h>

static void columns_fill(uint16_t column[16], const struct ports *ports, const struct arrival *a,
			 enum flow_family family, uint16_t remote_port)
{
	uint32_t none = arrival_ports_hash(a, family, remote_port, 0);

	for (unsigned i = 0; i < 16; i++) {
		uint32_t with = arrival_ports_hash(a, family, remote_port, (uint16_t)(1u << i));

		column[i] = class_of_hash(&ports->classes, with ^ none);
	}
}

static uint64_t mix(uint64_t a, uint64_t b)
{
	return (a ^ b) * UINT64_C(0x9e3779b97f4a7c15) ^ b >> 32;
}

void ports_init(struct ports *ports, const struct arrival *a)
{
	ports->fingerprint = arrival_fingerprint(a);
	class_map_init(&ports->classes, a);
	for (enum flow_family family = 0; family < FLOW_FAMILIES; family++) {
		uint16_t column[16];

		columns_fill(column, ports, a, family, 0);
		port_space_init(&ports->space[family], column, ports->classes.bits);
	}
}

void port_target_init(struct port_target *target, const struct ports *ports, const cpu_set_t *cpus)
{
	const struct class_map *classes = &ports->classes;
	uint16_t end = 0;
	bool many = false;

	memset(target, 0, sizeof(*target));
	target->cpus = *cpus;
	for (unsigned cpu = 0; cpu < RSS_CPUS_MAX && cpu < CPU_SETSIZE; cpu++) {
		unsigned count = class_map_count(classes, cpu);

		if (count == 0 || !CPU_ISSET(cpu, cpus))
			continue;
		target->fingerprint = mix(target->fingerprint, cpu + 1);
		many |= target->parts == PORT_TARGET_PARTS;
		if (many)
			continue;
		end += (uint16_t)count;
		target->part[target->parts].cpu = (uint16_t)cpu;
		target->part[target->parts].list = classes->first[cpu];
		target->part[target->parts].end = end;
		target->parts++;
	}
	if (many) {
		target->parts = 0;
		return;
	}
	target->classes = end;
	if (end == 0)
		CPU_ZERO(&target->cpus); /* none of them receives */
	else
		target->inverse = ((1ull << 32) + end - 1) / end;
}

void port_range_init(struct port_range *range, const struct ports *ports, uint16_t lo, uint16_t hi)
{
	range->lo = lo;
	range->hi = hi;
	range->fingerprint = 0;
	for (enum flow_family family = 0; family < FLOW_FAMILIES; family++)
		port_interval_init(&range->interval[family], &ports->space[family], lo, hi);
}

static void space_choose(struct port_set *set, const struct port_range *range)
{
	uint16_t column[16];

	if (set->arrival->hash.transform != TRANSFORM_SYMMETRIC_OR_XOR) {
		set->space = &set->ports->space[set->family];
		set->interval = &range->interval[set->family];
		return;
	}
	if (set->space_of != set->ports || set->space_family != set->family ||
	    set->space_port != set->remote_port) {
		columns_fill(column, set->ports, set->arrival, set->family, set->remote_port);
		port_space_init(&set->own_space, column, set->ports->classes.bits);
		set->space_of = set->ports;
		set->space_family = set->family;
		set->space_port = set->remote_port;
		set->own_interval.most = 0;
	}
	if (set->own_interval.most == 0 || set->own_interval.lo != range->lo ||
	    set->own_interval.hi != range->hi)
		port_interval_init(&set->own_interval, &set->own_space, range->lo, range->hi);
	set->space = &set->own_space;
	set->interval = &set->own_interval;
}

struct reach {
	unsigned in, out; /* wanted classes that ports can and cannot reach */
};

/* Counts until there is one of both. */
static struct reach reach_of(const struct port_set *set, bool all)
{
	const struct port_target *target = set->target;
	struct reach reach = {0, 0};
	unsigned n = 0;

	for (unsigned p = 0; p < target->parts; p++) {
		const uint16_t *class = set->ports->classes.list + target->part[p].list;

		for (; n < target->part[p].end && (all || !reach.in || !reach.out); class ++, n++) {
			if (port_space_reaches(set->space, *class ^ set->base))
				reach.in++;
			else
				reach.out++;
		}
	}
	return reach;
}

unsigned port_set_reachable(const struct port_set *set)
{
	return reach_of(set, true).in;
}

/* What the next questions have in common with this one. */
static void remember(struct port_set *set, const struct port_range *range, const struct flow *flow)
{
	uint64_t local[2];

	memcpy(set->local, flow->local, sizeof(set->local));
	memcpy(local, flow->local, sizeof(local));
	set->identity = mix((uint64_t)range->hi << 48 | (uint64_t)range->lo << 32 | set->family,
			    range->fingerprint);
	set->identity = mix(mix(set->identity, set->ports->fingerprint), set->target->fingerprint);
	set->identity = mix(mix(set->identity, local[0]), local[1]);
	/* Where the key makes port bits depend on each other, the flow decides which classes are
	 * out of reach. */
	set->movable =
		arrival_remote_apart(set->arrival) && set->space->rank == set->ports->classes.bits;
	if (set->movable)
		set->near = set->hash ^ arrival_remote_hash(set->arrival, set->family, flow);
}

enum port_verdict port_set_init(struct port_set *set, const struct arrival *a,
				const struct ports *ports, const struct port_target *target,
				const struct port_range *range, const struct flow *flow)
{
	const struct class_map *classes = &ports->classes;
	uint32_t ports_between = (uint32_t)range->hi - range->lo + 1;

	set->arrival = a;
	set->ports = ports;
	set->target = target;
	set->family = flow_family(flow);
	set->remote_port = flow->remote_port;
	set->positions = 0;
	set->movable = false;
	if (target->parts == 0 && CPU_COUNT(&target->cpus) == 0)
		return PORTS_NO_QUEUE;
	set->hash = 0;
	if ((classes->bits || classes->mixed) && !arrival_addresses_hash(a, flow, &set->hash))
		return PORTS_HASH_UNKNOWN;
	set->hash ^= arrival_ports_hash(a, set->family, flow->remote_port, 0);
	set->base = class_of_hash(classes, set->hash);
	space_choose(set, range);
	bool gaps = false;

	if (target->parts && set->space->rank < classes->bits) {
		struct reach reach = reach_of(set, false);

		if (!reach.in)
			return PORTS_UNREACHABLE;
		gaps = reach.out > 0;
	}
	/* Walking the wanted classes pays as long as most positions hold a port: not when some of
	 * them are out of reach, nor when classes shared by CPUs are listed again and again. */
	set->positions = target->classes * set->interval->most;
	set->one_by_one = target->parts == 0 || gaps || set->positions > ports_between;
	if (set->one_by_one)
		set->positions = ports_between;
	if (!set->positions)
		return PORTS_NO_QUEUE; /* what is asked is being written anew */
	if (set->reciprocal_of != set->positions) {
		set->reciprocal = UINT64_MAX / set->positions + 1;
		set->reciprocal_of = set->positions;
	}
	remember(set, range, flow);
	return PORTS_FOUND;
}

bool port_set_move(struct port_set *set, const struct flow *flow)
{
	if (!set->movable || set->family != flow_family(flow) ||
	    memcmp(set->local, flow->local, sizeof(set->local)) != 0)
		return false;
	set->remote_port = flow->remote_port;
	set->hash = set->near ^ arrival_remote_hash(set->arrival, set->family, flow);
	set->base = class_of_hash(&set->ports->classes, set->hash);
	return true;
}

static int cpu_of_port(const struct port_set *set, uint16_t port)
{
	uint32_t adds = arrival_ports_hash(set->arrival, set->family, set->remote_port, port) ^
			arrival_ports_hash(set->arrival, set->family, set->remote_port, 0);

	return arrival_of_hash(set->arrival, set->hash ^ adds).cpu;
}

uint16_t port_set_at(const struct port_set *set, uint32_t position)
{
	const struct port_target *target = set->target;
	const struct class_map *classes = &set->ports->classes;
	uint16_t port;

	if (set->one_by_one) {
		port = (uint16_t)(set->interval->lo + position);
		int cpu = cpu_of_port(set, port);

		return cpu >= 0 && CPU_ISSET(cpu, &target->cpus) ? port : 0;
	}
	uint32_t nth = (uint32_t)(position * target->inverse >> 32);
	uint32_t which = position - nth * target->classes;
	unsigned part = 0;

	while (which >= target->part[part].end)
		part++;
	if (part)
		which -= target->part[part - 1].end;

	uint16_t class = classes->list[target->part[part].list + which];

	if (!port_space_nth(set->space, set->interval, class ^ set->base, nth, &port))
		return 0;
	/* A class that leads to several wanted CPUs is listed for each: count a port once. */
	if (classes->mixed && cpu_of_port(set, port) != target->part[part].cpu)
		return 0;
	return port;
}
