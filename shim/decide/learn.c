#include "shim/decide/learn.h"
#include <string.h>

#define TRUST_AFTER    12   /* predictions that came true in a row before any is told */
#define JUDGED         16   /* recent judgements that count ... */
#define JUDGED_BAD     5    /* ... and how many contradictions among them are too many */
#define UNRESOLVED_MAX 8    /* contradictions, however rare, that call for a better explanation */
#define TRIALS         16   /* orders of the kept observations that are tried for one */
#define FAILURES_MAX   6    /* beginnings without success until it is given up */
#define RETRY_AFTER    4096 /* observations until it is tried again */
#define MADE_MIN       16   /* flows made here that tell whether packets follow their maker */
#define SURPRISES_MIN  6    /* predictions that came true though the flow before spoke against it */
#define KIN            16   /* latest observations that a flow is compared with */
#define PROBES         32

void learn_init(struct learn *l, enum flow_family family)
{
	memset(l, 0, sizeof(*l));
	l->family = family;
}

static bool is_none(const struct tuple *guesses)
{
	return tuple_lowest(guesses) >= TUPLE_BITS;
}

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
	if (!is_none(&sure))
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

static enum learn_verdict space_observe(struct learn_space *space, const struct tuple *tuple,
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

/* The CPU that the space says, or -1; `sure`: and it rests on no guess. */
static int space_predict(const struct learn_space *space, const struct tuple *tuple, bool *sure)
{
	struct tuple reduced, rests;

	space_reduce(space, tuple, &reduced, &rests);

	int at = place_find(space, &reduced);

	if (at < 0)
		return -1;
	tuple_xor(&rests, &space->place_rests[at]);
	/* In a complete space a CPU in the wrong place would have displaced another. */
	*sure = is_none(&rests) && (space->complete || space->confirmed[at]);
	return space->cpu[at];
}

/* --- finding an explanation for what was seen --- */

static void space_clear(struct learn_space *space)
{
	/* Basis vectors are valid by their leading bits, places by the number of CPUs. */
	space->span.rank = 0;
	memset(&space->span.leading, 0, sizeof(space->span.leading));
	memset(&space->span.support, 0, sizeof(space->span.support));
	memset(&space->guesses, 0, sizeof(space->guesses));
	space->cpus = 0;
	space->complete = false;
}

/* The nth of the latest observations, from 1. */
static const struct learn_seen *latest(const struct learn *l, unsigned n)
{
	return &l->seen[(l->next + LEARN_KEPT - n) % LEARN_KEPT];
}

/* How many of the `last` observations a space does not explain. */
static unsigned wrong_of(const struct learn *l, const struct learn_space *space, unsigned last)
{
	unsigned wrong = 0;
	bool sure;

	for (unsigned n = 1; n <= last && n <= l->fresh; n++) {
		const struct learn_seen *seen = &l->seen[(l->next + LEARN_KEPT - n) % LEARN_KEPT];

		wrong += space_predict(space, &seen->tuple, &sure) != seen->cpu;
	}
	return wrong;
}

/* Learns what was seen since the beginning, in some order, into the trial. False once it
 * contradicts more than `most` of them. */
static bool try_order(struct learn *l, uint64_t random, unsigned most)
{
	uint16_t order[LEARN_KEPT];
	unsigned wrong = 0;

	for (unsigned i = 0; i < l->fresh; i++) {
		random = random * 6364136223846793005u + 1442695040888963407u;
		unsigned j = (unsigned)((random >> 32) * (i + 1) >> 32);

		order[i] = order[j];
		order[j] = (uint16_t)i;
	}
	space_clear(&l->trial);
	for (unsigned i = 0; i < l->fresh; i++) {
		const struct learn_seen *seen = latest(l, 1u + order[i]);

		wrong += space_observe(&l->trial, &seen->tuple, seen->cpu, true) ==
			 LEARN_CONTRADICTED;
		if (wrong > most)
			return false;
	}
	return true;
}

/* One wrong observation early on spoils all that is built on it. Learned in another order, the
 * wrong ones are likely to come late, and be turned away. */
static bool explain_better(struct learn *l)
{
	unsigned wrong = wrong_of(l, &l->space, LEARN_KEPT);
	unsigned most = l->fresh / 25;

	l->unresolved = 0;
	for (unsigned i = 0; i < TRIALS && wrong > 0; i++) {
		if (wrong <= most)
			most = wrong - 1;
		if (!try_order(l, (uint64_t)l->observations << 8 | i, most))
			continue;
		/* Insertion order decides what counts as contradicted: judge the result anew. */
		unsigned left = wrong_of(l, &l->trial, LEARN_KEPT);

		if (left < wrong && wrong_of(l, &l->trial, JUDGED) < JUDGED_BAD) {
			l->space = l->trial;
			l->recent = 0;
			l->changes++;
			wrong = left;
			return true;
		}
	}
	return false;
}

static enum learn_refusal refusal_of(const struct learn *l)
{
	unsigned made = 0, own = 0;

	if (l->space.cpus == LEARN_CPUS_MAX)
		return LEARN_TOO_MANY_CPUS;
	for (unsigned n = 1; n <= l->fresh; n++) {
		made += latest(l, n)->made;
		own += latest(l, n)->own;
	}
	if (made >= MADE_MIN && own >= made - made / 10u)
		return LEARN_FOLLOWS_SENDER;
	if (l->same_flow >= FAILURES_MAX)
		return LEARN_NOT_BY_FLOW;
	return LEARN_NOT_AFFINE;
}

static void forget(struct learn *l)
{
	/* What was known has changed: older observations mislead. Otherwise they are evidence of
	 * which wrong ones are few, every other time, lest a change in their midst spoil it all. */
	bool mislead = l->state == LEARN_KNOWN || l->failures % 2;

	if (l->state == LEARN_KNOWN)
		l->begun = l->observations;
	if (l->state != LEARN_REFUSED && ++l->failures >= FAILURES_MAX) {
		l->state = LEARN_REFUSED;
		l->refusal = refusal_of(l);
		l->retry_at = l->observations + RETRY_AFTER;
	} else if (l->state != LEARN_REFUSED) {
		l->state = LEARN_WATCHING;
	}
	space_clear(&l->space);
	l->port_bits = 0;
	if (mislead)
		l->fresh = 0;
	l->recent = 0;
	l->confirmed = 0;
	l->surprises = 0;
	l->unresolved = 0;
	l->forgotten++;
	l->changes++;
}

/* Whether the flow seen last was seen on another CPU before. */
static bool is_same_flow(const struct learn *l)
{
	const struct learn_seen *last = latest(l, 1);

	for (unsigned n = 2; n <= l->fresh; n++) {
		const struct learn_seen *before = latest(l, n);

		if (before->cpu != last->cpu && tuple_equal(&before->tuple, &last->tuple))
			return true;
	}
	return false;
}

static void judge(struct learn *l, enum learn_verdict verdict)
{
	l->recent = l->recent << 1 | (verdict == LEARN_CONTRADICTED);
	if (verdict == LEARN_CONFIRMED) {
		if (l->confirmed < UINT16_MAX && ++l->confirmed == TRUST_AFTER)
			l->changes++;
		return;
	}
	l->contradictions++;
	l->unresolved++;
	l->same_flow += is_same_flow(l);
	if (l->confirmed < TRUST_AFTER)
		l->confirmed = 0;
	l->surprises = 0;
	if (__builtin_popcount(l->recent & ((1u << JUDGED) - 1)) >= JUDGED_BAD) {
		if (!explain_better(l))
			forget(l);
	} else if (l->unresolved >= UNRESOLVED_MAX) {
		explain_better(l);
	}
}

/* Bits 0-15 the local port, 16-31 the remote one. */
static uint32_t ports_of(const struct tuple *tuple)
{
	return (uint32_t)tuple->word[0];
}

/* Notes which bits of the ports differ between this flow and others of its kind: made to the same
 * server, or accepted on the same port. That one port is ours and the other a client's tells the
 * two kinds apart, not where flows of a kind arrive. Returns where the last of them did, -1 if
 * none. */
static int note_kin(struct learn *l)
{
	const struct tuple *last = &latest(l, 1)->tuple;
	int cpu = -1;

	for (unsigned n = 2; n <= KIN && n <= l->fresh; n++) {
		struct tuple d = latest(l, n)->tuple;

		tuple_xor(&d, last);
		uint32_t local = ports_of(&d) & UINT16_MAX, remote = ports_of(&d) & ~UINT16_MAX;
		struct tuple addresses = d;
		addresses.word[0] &= ~(uint64_t)UINT32_MAX;
		bool accepted = !local, made = !remote && is_none(&addresses);

		l->port_bits |= accepted ? remote : made ? local : 0;
		if (cpu < 0 && (accepted || made))
			cpu = latest(l, n)->cpu;
	}
	return cpu;
}

enum learn_verdict learn_observe(struct learn *l, const struct flow *flow, int cpu, int own_cpu)
{
	struct learn_seen *seen = &l->seen[l->next];
	struct tuple guesses = l->space.guesses;
	unsigned cpus = l->space.cpus;
	enum learn_verdict verdict;

	l->observations++;
	tuple_of_flow(&seen->tuple, flow);
	seen->cpu = (int16_t)cpu;
	seen->made = own_cpu >= 0;
	seen->own = cpu == own_cpu;
	l->next = (l->next + 1) % LEARN_KEPT;
	if (l->kept < LEARN_KEPT)
		l->kept++;
	if (l->fresh < LEARN_KEPT)
		l->fresh++;
	if (l->state == LEARN_REFUSED) {
		if (l->observations < l->retry_at)
			return LEARN_CONTRADICTED; /* kept all the same: for learn_table.h */
		l->state = LEARN_WATCHING;
		l->refusal = LEARN_NOT_REFUSED;
		l->failures = 0;
		l->same_flow = 0;
		l->fresh = 1;
		l->begun = l->observations;
	}

	int kin_cpu = l->state != LEARN_KNOWN ? note_kin(l) : -1;

	verdict = space_observe(&l->space, &seen->tuple, cpu, l->state != LEARN_KNOWN);
	/* What was taught shows in predictions once it is confirmed. */
	if (verdict == LEARN_TAUGHT ? l->space.cpus != cpus
				    : !tuple_equal(&guesses, &l->space.guesses))
		l->changes++;
	if (verdict == LEARN_TAUGHT || !tuple_equal(&guesses, &l->space.guesses))
		l->news_at = l->observations;
	if (cpus == 1 && l->space.cpus == 2)
		l->begun = l->observations; /* nothing could be learned before */
	if (verdict == LEARN_CONFIRMED && kin_cpu >= 0 && l->surprises < UINT16_MAX)
		l->surprises += kin_cpu != cpu;
	if (verdict != LEARN_TAUGHT)
		judge(l, verdict);
	if (l->state == LEARN_WATCHING && l->space.complete && l->confirmed >= TRUST_AFTER &&
	    l->surprises >= SURPRISES_MIN) {
		l->state = LEARN_KNOWN;
		l->failures = 0;
		l->same_flow = 0;
		l->changes++;
	}
	return verdict;
}

int learn_predict(const struct learn *l, const struct flow *flow)
{
	struct tuple tuple;
	bool sure = false;

	if (l->state == LEARN_REFUSED || l->confirmed < TRUST_AFTER)
		return -1;
	tuple_of_flow(&tuple, flow);

	int cpu = space_predict(&l->space, &tuple, &sure);

	return sure ? cpu : -1;
}

uint16_t learn_probe(const struct learn *l, const struct flow *flow, uint16_t lo, uint16_t hi,
		     uint64_t random)
{
	struct flow candidate = *flow;
	struct tuple tuple;

	if (l->state == LEARN_REFUSED)
		return 0;
	for (unsigned i = 0; i < PROBES; i++) {
		bool sure = false;

		random = random * 6364136223846793005u + 1442695040888963407u;
		candidate.local_port = (uint16_t)(lo + ((random >> 32) * (hi - lo + 1u) >> 32));
		tuple_of_flow(&tuple, &candidate);
		if (space_predict(&l->space, &tuple, &sure) < 0 || !sure)
			return candidate.local_port;
	}
	return 0;
}

const char *learn_refusal_text(enum learn_refusal refusal)
{
	static const char *const text[] = {
		[LEARN_NOT_REFUSED] = "learnable so far",
		[LEARN_NOT_AFFINE] = ("the CPU is no linear function of addresses and ports (CPUs "
				      "or table no power of two, or another kind of hash)"),
		[LEARN_FOLLOWS_SENDER] = "packets arrive on the CPU that made the flow",
		[LEARN_NOT_BY_FLOW] = "one flow arrives now on this CPU, now on that",
		[LEARN_NOT_BY_PORTS] = ("ports have no part in it: only addresses are hashed, or "
					"packets arrive on the CPU of their sender"),
		[LEARN_TOO_MANY_CPUS] = "more CPUs than can be told apart",
	};

	return text[refusal];
}
