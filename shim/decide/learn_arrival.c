/* From a learned space to an arrival that is asked like any other.
 *
 * What is left of a flow when the space is taken out is a vector of which the places of the CPUs
 * fill an affine subspace. Coordinates in it are the index into a table of CPUs. Outside of it
 * nothing is known: what has to be 0 for a flow to lie inside are linear functions too. Those that
 * the local port can change become further bits of the index, with "unknown" in the table, so that
 * the port solver meets them as it meets any class; the others are the upper bits of the map. */
#include "shim/decide/learn.h"
#include <string.h>

#define INDEX_BITS_MAX LINEAR_MAP_INDEX_BITS
#define CHECK_BITS_MAX (64 - LINEAR_MAP_INDEX_BITS)
#define QUEUE_UNKNOWN  UINT16_MAX

#define COORDINATES_MAX 7 /* log2 of LEARN_CPUS_MAX */
_Static_assert(1 << COORDINATES_MAX == LEARN_CPUS_MAX, "a place for each value of the coordinates");

struct coordinates {
	unsigned count; /* log2 of the number of CPUs */
	/* Bits of what is left of a flow that tell the places apart, each set in one of these
	 * differences between places. */
	unsigned bit[COORDINATES_MAX];
	struct tuple vector[COORDINATES_MAX];
};

/* Basis of the differences between the places, reduced among themselves. */
static void coordinates_find(struct coordinates *c, const struct learn_space *space)
{
	c->count = 0;
	for (unsigned i = 1; i < space->cpus; i++) {
		struct tuple d = space->place[i];

		tuple_xor(&d, &space->place[0]);
		for (unsigned k = 0; k < c->count; k++) {
			if (tuple_bit(&d, c->bit[k]))
				tuple_xor(&d, &c->vector[k]);
		}
		unsigned bit = tuple_lowest(&d);

		if (bit >= TUPLE_BITS || c->count == COORDINATES_MAX)
			continue;
		for (unsigned k = 0; k < c->count; k++) {
			if (tuple_bit(&c->vector[k], bit))
				tuple_xor(&c->vector[k], &d);
		}
		c->bit[c->count] = bit;
		c->vector[c->count++] = d;
	}
}

static unsigned coordinate_of(const struct coordinates *c, const struct tuple *left)
{
	unsigned value = 0;

	for (unsigned k = 0; k < c->count; k++)
		value |= (unsigned)tuple_bit(left, c->bit[k]) << k;
	return value;
}

/* The part of the space that rests on no guess. Of vectors that share one, all but one are made
 * free of it by that one, which is left out: no vector is led by its bit any more, so a flow that
 * has it counts as outside. False where a place cannot be made free of them. */
static bool space_sure(struct learn_space *sure, const struct learn_space *space)
{
	*sure = *space;
	for (unsigned guess = 0; guess < TUPLE_BITS; guess++) {
		unsigned pivot = TUPLE_BITS;

		for (unsigned i = 0; tuple_bit(&sure->guesses, guess) && i < TUPLE_BITS; i++) {
			if (!tuple_bit(&sure->span.leading, i) ||
			    !tuple_bit(&sure->rests[i], guess))
				continue;
			if (pivot == TUPLE_BITS) {
				pivot = i;
				continue;
			}
			tuple_xor(&sure->span.basis[i], &sure->span.basis[pivot]);
			tuple_xor(&sure->rests[i], &sure->rests[pivot]);
		}
		if (pivot == TUPLE_BITS)
			continue;
		for (unsigned i = 0; i < sure->cpus; i++) {
			if (!tuple_bit(&sure->place_rests[i], guess))
				continue;
			tuple_xor(&sure->place[i], &sure->span.basis[pivot]);
			tuple_xor(&sure->place_rests[i], &sure->rests[pivot]);
		}
		tuple_flip(&sure->span.leading, pivot);
	}
	for (unsigned i = 0; i < sure->cpus; i++)
		if (tuple_lowest(&sure->place_rests[i]) < TUPLE_BITS)
			return false;
	return true;
}

/* The function that gives this bit of what is left of a flow. */
static void function_of_bit(struct tuple *function, const struct learn_space *space, unsigned bit)
{
	memset(function, 0, sizeof(*function));
	tuple_flip(function, bit);
	for (unsigned lead = 0; lead < TUPLE_BITS; lead++) {
		if (tuple_bit(&space->span.leading, lead) &&
		    tuple_bit(&space->span.basis[lead], bit))
			tuple_flip(function, lead);
	}
}

/* Adds the function times `factor` to the map. */
static void columns_add(uint64_t *column, const struct tuple *function, uint64_t factor)
{
	for (unsigned bit = 0; bit < TUPLE_BITS; bit++) {
		if (tuple_bit(function, bit))
			column[bit] ^= factor;
	}
}

/* A bit of its own for each function as long as there are any; then a random sum, which a flow that
 * fails the function passes with a chance of 2^-52. */
static uint64_t check_factor(unsigned number)
{
	uint64_t z = (uint64_t)number * 0x9e3779b97f4a7c15u;

	if (number < CHECK_BITS_MAX)
		return 1ull << (LINEAR_MAP_INDEX_BITS + number);
	z = (z ^ z >> 31) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 29) * 0x94d049bb133111ebu;
	return (z ^ z >> 32) << LINEAR_MAP_INDEX_BITS;
}

/* Functions that are 0 in the known space, sorted by whether the local port matters to them. */
struct checks {
	unsigned index_bits; /* next free bit of the index */
	unsigned upper;      /* functions that went to the upper bits */
	unsigned ports;      /* ... and those that the local port changes */
	struct tuple port_function[16];
};

static bool check_add(struct checks *checks, uint64_t *column, struct tuple *function)
{
	for (unsigned k = 0; k < checks->ports; k++) {
		uint16_t lead = (uint16_t)checks->port_function[k].word[0];

		if (function->word[0] & (lead & -(unsigned)lead))
			tuple_xor(function, &checks->port_function[k]);
	}
	if ((uint16_t)function->word[0] == 0) {
		columns_add(column, function, check_factor(checks->upper++));
		return true;
	}
	if (checks->index_bits == INDEX_BITS_MAX)
		return false;
	checks->port_function[checks->ports++] = *function;
	columns_add(column, function, 1ull << checks->index_bits++);
	return true;
}

static bool checks_fill(struct checks *checks, uint64_t *column, enum flow_family family,
			const struct learn_space *space, const struct coordinates *c)
{
	unsigned bits = family == FLOW_IPV6 ? 288 : 96;

	for (unsigned bit = 0; bit < bits; bit++) {
		struct tuple function;
		bool coordinate = false;

		for (unsigned k = 0; k < c->count; k++)
			coordinate |= c->bit[k] == bit;
		if (coordinate || tuple_bit(&space->span.leading, bit))
			continue;
		function_of_bit(&function, space, bit);
		for (unsigned k = 0; k < c->count; k++) {
			struct tuple own;

			if (!tuple_bit(&c->vector[k], bit))
				continue;
			function_of_bit(&own, space, c->bit[k]);
			tuple_xor(&function, &own);
		}
		if (!check_add(checks, column, &function))
			return false;
	}
	return true;
}

static int queue_of_cpu(const struct arrival *a, int cpu)
{
	for (unsigned q = 0; q < a->queue_count; q++) {
		if (a->queue_cpu[q] == cpu)
			return (int)q;
	}
	return -1;
}

/* The queues (CPUs) of the coordinates of a family. The first family names them: its coordinates
 * are the queue numbers. In the second the same hash and table show through other coordinates, and
 * an affine map leads from these to those. False where there is none. */
static bool coordinates_match(const struct arrival *a, const struct learn_space *space,
			      const struct coordinates *c, unsigned image[8], unsigned *start)
{
	unsigned queue_at[LEARN_CPUS_MAX] = {0};

	for (unsigned i = 0; i < space->cpus; i++) {
		struct tuple left = space->place[i];
		int queue = queue_of_cpu(a, space->cpu[i]);

		tuple_xor(&left, &space->place[0]);
		if (queue < 0)
			return false;
		queue_at[coordinate_of(c, &left)] = (unsigned)queue;
	}
	*start = queue_at[0];
	for (unsigned k = 0; k < c->count; k++)
		image[k] = queue_at[1u << k] ^ queue_at[0];
	for (unsigned value = 0; value < space->cpus; value++) {
		unsigned queue = queue_at[0];

		for (unsigned k = 0; k < c->count; k++)
			queue ^= value >> k & 1 ? image[k] : 0;
		if (queue != queue_at[value])
			return false;
	}
	return true;
}

static void queues_name(struct arrival *a, const struct learn_space *space,
			const struct coordinates *c)
{
	a->queue_count = space->cpus;
	for (unsigned i = 0; i < space->cpus; i++) {
		struct tuple left = space->place[i];

		tuple_xor(&left, &space->place[0]);
		a->queue_cpu[coordinate_of(c, &left)] = space->cpu[i];
	}
}

static bool family_fill(struct arrival *a, const struct learn *l, struct learn_room *room)
{
	struct learn_space *space = &room->space;
	uint64_t *column = room->column;
	struct coordinates c;
	struct checks checks = {0};
	unsigned image[8], start;
	uint64_t origin = 0;

	if (!space_sure(space, &l->space))
		return false;
	struct tuple first = space->place[0];

	memset(room->column, 0, sizeof(room->column));
	coordinates_find(&c, space);
	if (a->queue_count == 0)
		queues_name(a, space, &c);
	if (space->cpus != a->queue_count || !coordinates_match(a, space, &c, image, &start))
		return false;
	checks.index_bits = c.count;
	for (unsigned k = 0; k < c.count; k++) {
		struct tuple function;

		function_of_bit(&function, space, c.bit[k]);
		columns_add(column, &function, image[k]);
	}
	if (!checks_fill(&checks, column, l->family, space, &c))
		return false;
	/* A flow in the first place has the value of its queue, and passes every check. */
	tuple_xor(&first, &space->origin);
	for (unsigned bit = 0; bit < TUPLE_BITS; bit++)
		origin ^= tuple_bit(&first, bit) ? column[bit] : 0;
	linear_map_init(&a->learned, l->family, column, origin ^ start);
	if (a->table.size < 1u << checks.index_bits)
		a->table.size = 1u << checks.index_bits;
	return true;
}

enum learn_ports learn_ports(const struct learn *l, struct learn_room *room)
{
	struct coordinates c;

	if (l->state != LEARN_KNOWN || !l->space.complete || !space_sure(&room->space, &l->space))
		return LEARN_PORTS_UNSURE;
	coordinates_find(&c, &room->space);
	for (unsigned k = 0; k < c.count; k++) {
		struct tuple function;

		function_of_bit(&function, &room->space, c.bit[k]);
		if (function.word[0] & l->port_bits)
			return LEARN_PORTS_MATTER;
	}
	return LEARN_PORTS_IDLE;
}

bool learn_arrival(struct arrival *a, const struct learn *ipv4, const struct learn *ipv6,
		   struct learn_room *room)
{
	const struct learn *families[FLOW_FAMILIES] = {ipv4, ipv6};
	bool any = false;

	memset(a, 0, sizeof(*a));
	a->hash.function = HASH_LEARNED;
	for (unsigned f = 0; f < FLOW_FAMILIES; f++) {
		const struct learn *l = families[f];

		if (l && l->state == LEARN_KNOWN && l->space.complete)
			any |= family_fill(a, l, room);
	}
	for (unsigned i = 0; i < a->table.size; i++)
		a->table.queue[i] = i < a->queue_count ? (uint16_t)i : QUEUE_UNKNOWN;
	return any;
}
