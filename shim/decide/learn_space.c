#include "shim/decide/learn_space.h"
#include <string.h>

static void take_out(struct tuple *from, const struct tuple *bits)
{
	for (unsigned i = 0; i < TUPLE_WORDS; i++)
		from->word[i] &= ~bits->word[i];
}

/* What is left of a flow, and the guesses it rests on. As a difference to one that was seen, a flow
 * has none of the bits that never changed: a vector that is led by such a bit matters to flows of
 * its own kind alone. */
static void space_reduce(const struct learn_space *space, const struct tuple *tuple,
			 struct tuple *left, struct tuple *rests)
{
	struct tuple used;

	*left = *tuple;
	tuple_xor(left, &space->origin);
	tuple_reduce(&space->span, left, &used);
	*rests = (struct tuple){0};
	for (unsigned i = 0; i < TUPLE_WORDS; i++)
		for (uint64_t bits = used.word[i]; bits; bits &= bits - 1)
			tuple_xor(rests, &space->rests[64 * i + (unsigned)__builtin_ctzll(bits)]);
}

static int place_find(const struct learn_space *space, const struct tuple *reduced)
{
	for (unsigned i = 0; i < space->cpus; i++) {
		if (tuple_equal(&space->place[i], reduced))
			return (int)i;
	}
	return -1;
}

/* Whether the places fill the affine space they lie in: then their number is a power of two, and
 * every flow of that space has a known CPU. */
static bool is_complete(const struct learn_space *space)
{
	struct tuple basis[8];
	unsigned rank = 0;

	if (space->cpus < 2 || space->cpus & (space->cpus - 1))
		return false;
	for (unsigned i = 1; i < space->cpus; i++) {
		struct tuple d = space->place[i];

		tuple_xor(&d, &space->place[0]);
		for (unsigned k = 0; k < rank; k++) {
			if (tuple_bit(&d, tuple_lowest(&basis[k])))
				tuple_xor(&d, &basis[k]);
		}
		if (tuple_lowest(&d) >= TUPLE_BITS)
			continue;
		if (1u << rank == space->cpus)
			return false;
		basis[rank++] = d;
	}
	return 1u << rank == space->cpus;
}

/* They are none any more. */
static void space_settle(struct learn_space *space, const struct tuple *guesses)
{
	take_out(&space->guesses, guesses);
	for (unsigned i = 0; i < TUPLE_BITS; i++)
		if (tuple_bit(&space->span.leading, i))
			take_out(&space->rests[i], guesses);
	for (unsigned i = 0; i < space->cpus; i++)
		take_out(&space->place_rests[i], guesses);
}

/* A prediction came true that rested on these guesses. While all is new it speaks for all of them.
 * Later two that are wrong may make one that is right, so it speaks for a single one only; of
 * several, for those that had a part in some before: others were with them each time. */
static void space_confirm(struct learn_space *space, const struct tuple *guesses, bool all)
{
	struct tuple sure = *guesses;
	unsigned count = 0;

	for (unsigned i = 0; i < TUPLE_WORDS; i++)
		count += (unsigned)__builtin_popcountll(guesses->word[i]);
	if (!count)
		return;
	for (unsigned n = 0; n < LEARN_PARTS; n++) {
		struct tuple before = space->part[n];

		for (unsigned i = 0; i < TUPLE_WORDS; i++) {
			space->part[n].word[i] |= sure.word[i];
			if (!all && count > 1)
				sure.word[i] &= before.word[i];
		}
	}
	if (!tuple_is_none(&sure))
		space_settle(space, &sure);
}

/* It did not: all of them have to show anew that they are right. */
static void space_doubt(struct learn_space *space, const struct tuple *guesses)
{
	for (unsigned n = 0; n < LEARN_PARTS; n++)
		take_out(&space->part[n], guesses);
}

static void space_add(struct learn_space *space, const struct tuple *vector,
		      const struct tuple *rests)
{
	struct tuple changed, guess = {0};
	unsigned lead = tuple_span_add(&space->span, vector, &changed);

	tuple_flip(&guess, lead);
	space_doubt(space, &guess);
	tuple_xor(&space->guesses, &guess);
	space->rests[lead] = *rests;
	tuple_xor(&space->rests[lead], &guess);
	for (unsigned i = 0; i < TUPLE_BITS; i++)
		if (tuple_bit(&changed, i))
			tuple_xor(&space->rests[i], &space->rests[lead]);
	for (unsigned i = 0; i < space->cpus; i++) {
		if (!tuple_bit(&space->place[i], lead))
			continue;
		tuple_xor(&space->place[i], vector);
		tuple_xor(&space->place_rests[i], &space->rests[lead]);
	}
}

/* Takes in a flow that is not predicted, reduced. False where that would make two CPUs one. */
static bool space_admit(struct learn_space *space, const struct tuple *reduced,
			const struct tuple *reduced_rests, int cpu)
{
	struct tuple vector = *reduced, rests = *reduced_rests;
	unsigned i = 0;

	while (i < space->cpus && space->cpu[i] != cpu)
		i++;
	if (i == space->cpus) {
		if (i == LEARN_CPUS_MAX)
			return false;
		space->cpu[i] = (int16_t)cpu;
		space->confirmed[i] = false;
		space->place[i] = *reduced;
		space->place_rests[i] = rests;
		space->cpus++;
		space->complete = is_complete(space);
		return true;
	}
	tuple_xor(&vector, &space->place[i]);
	tuple_xor(&rests, &space->place_rests[i]);
	for (i = 0; i < space->cpus; i++) {
		struct tuple other = space->place[i];

		tuple_xor(&other, &vector);
		if (place_find(space, &other) >= 0)
			return false;
	}
	space_add(space, &vector, &rests);
	space->complete = is_complete(space);
	return true;
}

enum learn_verdict learn_space_observe(struct learn_space *space, const struct tuple *tuple,
				       int cpu, bool fresh)
{
	struct tuple reduced, rests;

	if (space->cpus == 0)
		space->origin = *tuple;
	space_reduce(space, tuple, &reduced, &rests);

	int at = place_find(space, &reduced);

	if (at < 0)
		return space_admit(space, &reduced, &rests, cpu) ? LEARN_TAUGHT
								 : LEARN_CONTRADICTED;
	tuple_xor(&rests, &space->place_rests[at]);
	if (space->cpu[at] != cpu) {
		space_doubt(space, &rests);
		return LEARN_CONTRADICTED;
	}
	space->confirmed[at] = true;
	space_confirm(space, &rests, fresh);
	return LEARN_CONFIRMED;
}

int learn_space_predict(const struct learn_space *space, const struct tuple *tuple, bool *sure)
{
	struct tuple reduced, rests;

	space_reduce(space, tuple, &reduced, &rests);

	int at = place_find(space, &reduced);

	if (at < 0)
		return -1;
	tuple_xor(&rests, &space->place_rests[at]);
	/* In a complete space a CPU in the wrong place would have displaced another. */
	*sure = tuple_is_none(&rests) && (space->complete || space->confirmed[at]);
	return space->cpu[at];
}

void learn_space_clear(struct learn_space *space)
{
	/* Basis vectors are valid by their leading bits, places by the number of CPUs. */
	space->span.rank = 0;
	memset(&space->span.leading, 0, sizeof(space->span.leading));
	memset(&space->span.support, 0, sizeof(space->span.support));
	memset(&space->guesses, 0, sizeof(space->guesses));
	space->cpus = 0;
	space->complete = false;
}
