#include "shim/decide/learn.h"
#include <string.h>

#define TRUST_AFTER    12   /* predictions that came true in a row before any is told ... */
#define TRUST_MORE     4    /* ... and so many more for each beginning that led to nothing */
#define JUDGED         16   /* recent judgements that count ... */
#define JUDGED_BAD     5    /* ... and how many contradictions among them are too many */
#define UNRESOLVED_MAX 8    /* contradictions, however rare, that call for a better explanation */
#define TRIALS         16   /* orders of the kept observations that are tried for one */
#define FAILURES_MAX   6    /* beginnings without success until it is given up */
#define RETRY_AFTER    4096 /* observations until it is tried again */
#define MADE_MIN       16   /* flows made here that tell whether packets follow their maker */
#define KIN            16   /* latest observations that a flow is compared with */
#define PROBES         32

void learn_init(struct learn *l, enum flow_family family)
{
	memset(l, 0, sizeof(*l));
	l->family = family;
}

/* Every beginning is another chance for a run of luck. Half of them have to have come true though
 * the flow before spoke against it. */
static unsigned trust_after(const struct learn *l)
{
	return TRUST_AFTER + TRUST_MORE * l->failures;
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

		wrong += learn_space_predict(space, &seen->tuple, &sure) != seen->cpu;
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
	learn_space_clear(&l->trial);
	for (unsigned i = 0; i < l->fresh; i++) {
		const struct learn_seen *seen = latest(l, 1u + order[i]);

		wrong += learn_space_observe(&l->trial, &seen->tuple, seen->cpu, true) ==
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
	learn_space_clear(&l->space);
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
		if (l->confirmed < UINT16_MAX && ++l->confirmed == trust_after(l))
			l->changes++;
		return;
	}
	l->contradictions++;
	l->unresolved++;
	l->same_flow += is_same_flow(l);
	if (l->confirmed < trust_after(l))
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

/* Whether two flows are of a kind: made to the same server, or accepted on the same port. That one
 * port is ours and the other a client's tells the two kinds apart, not where flows of a kind
 * arrive. Adds the bits in which their ports differ. */
static bool is_kin(const struct learn_seen *flow, const struct learn_seen *other,
		   uint32_t *port_bits)
{
	struct tuple d = flow->tuple;

	tuple_xor(&d, &other->tuple);
	uint32_t local = ports_of(&d) & UINT16_MAX, remote = ports_of(&d) & ~UINT16_MAX;
	struct tuple addresses = d;
	addresses.word[0] &= ~(uint64_t)UINT32_MAX;
	bool accepted = !local, made = !remote && tuple_is_none(&addresses);

	*port_bits |= accepted ? remote : made ? local : 0;
	return accepted || made;
}

/* Notes which bits of the ports differ between the last flow and others of its kind. Returns where
 * the last of them arrived, -1 if there is none. */
static int note_kin(struct learn *l)
{
	int cpu = -1;

	for (unsigned n = 2; n <= KIN && n <= l->fresh; n++)
		if (is_kin(latest(l, 1), latest(l, n), &l->port_bits) && cpu < 0)
			cpu = latest(l, n)->cpu;
	return cpu;
}

bool learn_was_surprise(const struct learn *l, unsigned n)
{
	uint32_t ignored = 0;

	for (unsigned k = n + 1; k < n + KIN && k <= l->kept; k++)
		if (is_kin(latest(l, n), latest(l, k), &ignored))
			return latest(l, k)->cpu != latest(l, n)->cpu;
	return n < l->kept && latest(l, n + 1)->cpu != latest(l, n)->cpu;
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

	verdict = learn_space_observe(&l->space, &seen->tuple, cpu, l->state != LEARN_KNOWN);
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
	if (l->state == LEARN_WATCHING && l->space.complete && l->confirmed >= trust_after(l) &&
	    l->surprises >= trust_after(l) / 2) {
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

	if (l->state == LEARN_REFUSED || l->confirmed < trust_after(l))
		return -1;
	tuple_of_flow(&tuple, flow);

	int cpu = learn_space_predict(&l->space, &tuple, &sure);

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
		if (learn_space_predict(&l->space, &tuple, &sure) < 0 || !sure)
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
