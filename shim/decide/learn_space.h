/* What watching has made of flows and the CPUs they arrived on: the space of their differences, see
 * learn.h. No pointers; about 34 KB. */
#pragma once
#include "shim/decide/tuple.h"

#define LEARN_CPUS_MAX 128
#define LEARN_PARTS    3

enum learn_verdict {
	LEARN_TAUGHT,      /* the observation was news */
	LEARN_CONFIRMED,   /* it was what would have been predicted */
	LEARN_CONTRADICTED /* it was not */
};

/* What has been understood. */
struct learn_space {
	struct tuple origin; /* the first flow; all others count by their difference to it */
	struct tuple_span span;
	/* A vector that a single observation gave is a guess until others confirm it, by the bit it
	 * leads. Vectors rest on guesses, their own and those that went into them; where two meet
	 * in one flow, what they share cancels. */
	struct tuple guesses;
	struct tuple part[LEARN_PARTS]; /* guesses that had a part in 1, 2.. right predictions */
	struct tuple rests[TUPLE_BITS]; /* of the vector that is led by that bit */
	struct tuple place_rests[LEARN_CPUS_MAX];
	uint16_t cpus;
	bool complete; /* the CPUs fill the space that is left: nothing more to come */
	int16_t cpu[LEARN_CPUS_MAX];
	bool confirmed[LEARN_CPUS_MAX];
	struct tuple place[LEARN_CPUS_MAX]; /* what is left of any flow that arrives there */
};

void learn_space_clear(struct learn_space *space);

/* A flow was seen to arrive on a CPU. fresh: nothing was known for sure so far. */
enum learn_verdict learn_space_observe(struct learn_space *space, const struct tuple *tuple,
				       int cpu, bool fresh);

/* The CPU that the space says, or -1; `sure`: and it rests on no guess. */
int learn_space_predict(const struct learn_space *space, const struct tuple *tuple, bool *sure);
