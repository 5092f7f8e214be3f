/* What watching one NIC has taught, by whatever way taught something: by the linear rule of
 * learn.h, for each family; else, where that is refused, by the table alone under the reported key
 * or a published one. The result is an arrival, to be published anew whenever it has changed.
 *
 * About 150 KB, no pointers, no allocation, not safe against concurrent use. */
#pragma once
#include "shim/decide/learn.h"
#include "shim/decide/learn_table.h"
#include <sched.h>

enum learner_way {
	LEARNER_NOTHING, /* yet, or not to be learned */
	LEARNER_LINEAR,  /* key and table are not known, and need not be */
	LEARNER_TABLE,   /* the reported key was right, the table was watched */
	LEARNER_GUESS    /* a published key explains what is seen */
};

union learner_room {
	struct learn_room linear;
	struct learn_evidence evidence;
};

struct learner {
	enum learner_way way;
	char key_name[24];        /* of a guessed key */
	struct rss_hash reported; /* function HASH_UNKNOWN where nothing is */
	uint32_t guess_at;        /* observations at which the table is tried (again) */
	uint32_t seen_changes[FLOW_FAMILIES];
	struct learn family[FLOW_FAMILIES];
	struct learn_table table;
};

/* Begin, or begin anew after the NIC was reconfigured. reported: the hash that the NIC or the
 * policy claims, tried where no linear rule holds; NULL where there is none. */
void learner_init(struct learner *l, const struct rss_hash *reported);

/* As learn_observe(). True when what learner_arrival() would give has changed. */
bool learner_observe(struct learner *l, const struct flow *flow, int cpu, int own_cpu,
		     union learner_room *room);

/* False when nothing is to be told. */
bool learner_arrival(const struct learner *l, struct arrival *a, union learner_room *room);

/* What watching has come to, to be published. */
struct learned {
	enum learner_way way;
	bool spread[FLOW_FAMILIES]; /* flows are, by addresses and ports, over these: */
	cpu_set_t receiving;
	bool known[FLOW_FAMILIES]; /* ... and the arrival tells, so that ports can be chosen */
	bool refused[FLOW_FAMILIES];
	enum learn_refusal refusal[FLOW_FAMILIES];
	uint32_t unknown; /* entries of the arrival's table that lead nowhere yet */
	char key_name[24];
	struct arrival arrival; /* nothing but zeroes where no family is known */
};

/* A linear rule in which ports have no part is not taken for known: of a NIC that hashes addresses
 * only it would be of no use, and it is also what same-host clients on CPUs of their own look like.
 */
void learner_conclude(const struct learner *l, struct learned *out, union learner_room *room);

/* Whether the next observations of a family are worth having one by one: something is still to be
 * learned, or something was, or was contradicted, lately. */
bool learner_is_curious(const struct learner *l, enum flow_family family);

/* Whether every number in it is one that the functions above can bear, whoever wrote it. */
bool learner_is_sound(const struct learner *l);

/* The same of what was published. */
bool learned_is_sound(const struct learned *learned);
