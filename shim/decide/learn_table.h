/* Learns the table alone, where the hash is known or can be guessed: for tables and CPUs that
 * follow no rule (three CPUs, skewed, queues on CPUs in any order), which learn.h refuses. */
#pragma once
#include "shim/decide/learn.h"

/* About 25 KB, no pointers. */
struct learn_table {
	struct arrival arrival; /* entries not seen yet lead to no CPU */
	uint32_t right, wrong;  /* observations since the beginning that fit, that did not */
	uint32_t recent;        /* the last of them, a bit each, 1: did not */
	uint8_t doubt[RSS_TABLE_MAX / 8]; /* entries contradicted by the last observation of them */
};

/* Room for that, as in learn.h: hash and CPU of everything that was kept, and a table. */
struct learn_evidence {
	unsigned count;
	uint32_t hash[FLOW_FAMILIES * LEARN_KEPT];
	int16_t cpu[FLOW_FAMILIES * LEARN_KEPT];
	bool surprise[FLOW_FAMILIES * LEARN_KEPT];
	int16_t entry[RSS_TABLE_MAX];
};

/* Begins with what two learners kept (either may be NULL), however far they came: finds the
 * smallest table that explains it by this hash. False where none does, or too little was seen to
 * tell. */
bool learn_table_init(struct learn_table *table, const struct rss_hash *hash,
		      const struct learn *ipv4, const struct learn *ipv6, struct learn_evidence *e);

/* The same with the keys that drivers are known to come with, each with and without symmetric-xor:
 * takes about a millisecond. The name of the key found, or NULL. */
const char *learn_table_guess(struct learn_table *table, const struct learn *ipv4,
			      const struct learn *ipv6, struct learn_evidence *e);

/* Fills in what was not seen yet, mends what was contradicted twice in a row. */
enum learn_verdict learn_table_observe(struct learn_table *table, const struct flow *flow, int cpu);

/* False when so many of the last observations were contradicted that the key is wrong, or the NIC
 * has changed: begin anew. */
bool learn_table_holds(const struct learn_table *table);
