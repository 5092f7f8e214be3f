#include "shim/decide/learner.h"
#include <string.h>

#define GUESS_EVERY 256 /* observations */

void learner_init(struct learner *l, const struct rss_hash *reported)
{
	memset(l, 0, sizeof(*l));
	if (reported)
		l->reported = *reported;
	for (enum flow_family family = 0; family < FLOW_FAMILIES; family++)
		learn_init(&l->family[family], family);
}

/* The table alone; reported or guessed key. Only while no family follows the linear rule: a guess
 * that is right by chance must not displace what is known. */
static bool try_table(struct learner *l)
{
	const struct learn *ipv4 = &l->family[FLOW_IPV4], *ipv6 = &l->family[FLOW_IPV6];
	const char *name;

	l->guess_at = ipv4->observations + ipv6->observations + GUESS_EVERY;
	if (l->reported.function == HASH_TOEPLITZ &&
	    learn_table_init(&l->table, &l->reported, ipv4, ipv6)) {
		l->way = LEARNER_TABLE;
		return true;
	}
	name = learn_table_guess(&l->table, ipv4, ipv6);
	if (!name)
		return false;
	strncpy(l->key_name, name, sizeof(l->key_name) - 1);
	l->way = LEARNER_GUESS;
	return true;
}

static bool observe_table(struct learner *l, const struct flow *flow, int cpu)
{
	uint32_t wrong = l->table.wrong;

	if (learn_table_observe(&l->table, flow, cpu) == LEARN_TAUGHT)
		return true;
	if (!learn_table_holds(&l->table)) {
		/* Everything kept was made by the key that no longer holds. */
		learner_init(l, &l->reported);
		return true;
	}
	return l->table.wrong != wrong; /* may have mended an entry */
}

static bool any_in_state(const struct learner *l, enum learn_state state)
{
	return l->family[FLOW_IPV4].state == state || l->family[FLOW_IPV6].state == state;
}

/* Whether the linear rule gives something else than before. */
static bool linear_changed(struct learner *l)
{
	enum learner_way was = l->way;
	bool changed = false;

	l->way = any_in_state(l, LEARN_KNOWN) ? LEARNER_LINEAR : LEARNER_NOTHING;
	for (unsigned f = 0; f < FLOW_FAMILIES; f++) {
		changed |= l->seen_changes[f] != l->family[f].changes;
		l->seen_changes[f] = l->family[f].changes;
	}
	return l->way != was || (changed && l->way == LEARNER_LINEAR);
}

bool learner_observe(struct learner *l, const struct flow *flow, int cpu, int own_cpu)
{
	bool by_table = l->way == LEARNER_TABLE || l->way == LEARNER_GUESS;

	if (by_table)
		return observe_table(l, flow, cpu);
	learn_observe(&l->family[flow_family(flow)], flow, cpu, own_cpu);
	if (linear_changed(l))
		return true;
	if (l->way == LEARNER_LINEAR || !any_in_state(l, LEARN_REFUSED))
		return false;
	if (l->family[0].observations + l->family[1].observations < l->guess_at)
		return false;
	return try_table(l);
}

bool learner_arrival(const struct learner *l, struct arrival *a)
{
	switch (l->way) {
	case LEARNER_LINEAR:
		return learn_arrival(a, &l->family[FLOW_IPV4], &l->family[FLOW_IPV6]);
	case LEARNER_TABLE:
	case LEARNER_GUESS:
		*a = l->table.arrival;
		return true;
	default:
		return false;
	}
}

enum learn_refusal learner_refusal(const struct learner *l, enum flow_family family)
{
	return l->family[family].refusal;
}
