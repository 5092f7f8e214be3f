#include "shim/decide/learner.h"
#include <string.h>

#define GUESS_EVERY 256    /* observations */
#define CURIOUS_FOR 2048   /* observations without success */
#define DULL_AFTER  32     /* observations without news */
#define LATELY      0xffff /* judgements */

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
static bool try_table(struct learner *l, struct learn_evidence *e)
{
	const struct learn *ipv4 = &l->family[FLOW_IPV4], *ipv6 = &l->family[FLOW_IPV6];
	const char *name;

	l->guess_at = ipv4->observations + ipv6->observations + GUESS_EVERY;
	if (l->reported.function == HASH_TOEPLITZ &&
	    learn_table_init(&l->table, &l->reported, ipv4, ipv6, e)) {
		l->way = LEARNER_TABLE;
		return true;
	}
	name = learn_table_guess(&l->table, ipv4, ipv6, e);
	if (!name)
		return false;
	strncpy(l->key_name, name, sizeof(l->key_name) - 1);
	l->way = LEARNER_GUESS;
	return true;
}

static bool observe_table(struct learner *l, const struct flow *flow, int cpu)
{
	struct rss_hash reported = l->reported;
	uint32_t wrong = l->table.wrong;

	if (learn_table_observe(&l->table, flow, cpu) == LEARN_TAUGHT)
		return true;
	if (!learn_table_holds(&l->table)) {
		/* Everything kept was made by the key that no longer holds. */
		learner_init(l, &reported);
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

bool learner_observe(struct learner *l, const struct flow *flow, int cpu, int own_cpu,
		     union learner_room *room)
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
	return try_table(l, &room->evidence);
}

bool learner_arrival(const struct learner *l, struct arrival *a, union learner_room *room)
{
	switch (l->way) {
	case LEARNER_LINEAR:
		return learn_arrival(a, &l->family[FLOW_IPV4], &l->family[FLOW_IPV6],
				     &room->linear);
	case LEARNER_TABLE:
	case LEARNER_GUESS:
		*a = l->table.arrival;
		return true;
	default:
		return false;
	}
}

static void add_cpus(cpu_set_t *set, const int16_t *cpu, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (cpu[i] >= 0 && cpu[i] < CPU_SETSIZE)
			CPU_SET((unsigned)cpu[i], set);
}

static void conclude_linear(const struct learn *l, bool told, struct learned *out,
			    struct learn_room *room)
{
	enum learn_ports ports = learn_ports(l, room);

	if (ports == LEARN_PORTS_IDLE) {
		out->refused[l->family] = true;
		out->refusal[l->family] = LEARN_NOT_BY_PORTS;
	} else if (ports == LEARN_PORTS_MATTER) {
		out->spread[l->family] = true;
		out->known[l->family] = told && out->arrival.learned.known[l->family];
		add_cpus(&out->receiving, l->space.cpu, l->space.cpus);
	}
}

void learner_conclude(const struct learner *l, struct learned *out, union learner_room *room)
{
	memset(out, 0, sizeof(*out));
	out->way = l->way;
	memcpy(out->key_name, l->key_name, sizeof(out->key_name));
	bool told = learner_arrival(l, &out->arrival, room);
	for (enum flow_family f = 0; f < FLOW_FAMILIES; f++) {
		out->refused[f] = l->family[f].state == LEARN_REFUSED;
		out->refusal[f] = l->family[f].refusal;
		if (l->way == LEARNER_LINEAR)
			conclude_linear(&l->family[f], told, out, &room->linear);
		else
			out->spread[f] = out->known[f] = told;
	}
	if (told && l->way != LEARNER_LINEAR)
		add_cpus(&out->receiving, out->arrival.queue_cpu, out->arrival.queue_count);
	if (!out->known[FLOW_IPV4] && !out->known[FLOW_IPV6])
		memset(&out->arrival, 0, sizeof(out->arrival));
	for (uint32_t i = 0; i < out->arrival.table.size; i++)
		out->unknown += out->arrival.table.queue[i] >= out->arrival.queue_count;
}

static bool is_curious_of(const struct learn *l)
{
	switch (l->state) {
	case LEARN_WATCHING:
		return l->observations && l->observations - l->begun < CURIOUS_FOR;
	case LEARN_KNOWN:
		return l->recent & LATELY || l->observations - l->news_at < DULL_AFTER;
	default:
		return false;
	}
}

bool learner_is_curious(const struct learner *l, enum flow_family family)
{
	if (l->way == LEARNER_TABLE || l->way == LEARNER_GUESS)
		return l->table.recent & LATELY || l->table.right + l->table.wrong < CURIOUS_FOR;
	return is_curious_of(&l->family[family]);
}

static bool arrival_is_sound(const struct arrival *a)
{
	return a->table.size <= RSS_TABLE_MAX && a->queue_count <= RSS_QUEUES_MAX &&
	       a->rps.count <= RSS_RPS_MAX && a->hash.key_len <= RSS_KEY_MAX &&
	       (unsigned)a->hash.function <= HASH_LEARNED &&
	       (unsigned)a->hash.transform <= TRANSFORM_SYMMETRIC_OR_XOR;
}

static bool space_is_sound(const struct learn_space *space)
{
	return space->cpus <= LEARN_CPUS_MAX && space->span.rank <= TUPLE_BITS &&
	       space->span.leading.word[TUPLE_BITS / 64] >> TUPLE_BITS % 64 == 0;
}

static bool learn_is_sound(const struct learn *l)
{
	return (unsigned)l->state <= LEARN_REFUSED && (unsigned)l->refusal <= LEARN_NOT_BY_PORTS &&
	       l->kept <= LEARN_KEPT && l->fresh <= l->kept && l->next < LEARN_KEPT &&
	       space_is_sound(&l->space) && space_is_sound(&l->trial);
}

bool learner_is_sound(const struct learner *l)
{
	for (unsigned f = 0; f < FLOW_FAMILIES; f++)
		if (!learn_is_sound(&l->family[f]) || (unsigned)l->family[f].family != f)
			return false;
	return (unsigned)l->way <= LEARNER_GUESS && memchr(l->key_name, 0, sizeof(l->key_name)) &&
	       l->reported.key_len <= RSS_KEY_MAX && arrival_is_sound(&l->table.arrival);
}

/* Of memory that anything may have been written to, a bool may be neither. */
static bool are_bools(const bool *values, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint8_t byte;
		memcpy(&byte, &values[i], sizeof(byte));
		if (byte > 1)
			return false;
	}
	return true;
}

bool learned_is_sound(const struct learned *learned)
{
	if (!are_bools(learned->spread, FLOW_FAMILIES) ||
	    !are_bools(learned->known, FLOW_FAMILIES) ||
	    !are_bools(learned->refused, FLOW_FAMILIES))
		return false;
	for (unsigned f = 0; f < FLOW_FAMILIES; f++)
		if ((unsigned)learned->refusal[f] > LEARN_NOT_BY_PORTS)
			return false;
	return (unsigned)learned->way <= LEARNER_GUESS &&
	       memchr(learned->key_name, 0, sizeof(learned->key_name)) &&
	       arrival_is_sound(&learned->arrival);
}
