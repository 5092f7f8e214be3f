/* When a worker takes connections that wait for another: `[balance] steal`.
 *
 * Strict locality starves: a skewed table, a hot flow group or a busy worker leave connections in
 * one queue while other workers sleep. So of a queue that is long, or has not been empty for a
 * while, a worker that would sleep takes some: at most one for N that workers took from their own
 * queues. Where that is not enough window after window, N halves, until it is no bound any more,
 * which spreads the connections of that queue over the idle; it doubles again in each window in
 * which no queue was long. Where few connections come nothing is looked at.
 *
 * A queue for each worker also makes who comes wait for as long as that one happens to be, where
 * one queue for all would have all wait alike. So while all have work, too, who has waited longer
 * in another's queue than in one's own comes first, within the same bound. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define BALANCE_WINDOW_MS 10
/* At most so many at a time, so that others have a share and locality its chance again. */
#define BALANCE_BATCH 8

/* What one worker knows; zeroed to begin with. */
struct balance {
	uint64_t window_ms;           /* when this window began */
	uint32_t came, local, stolen; /* counts of the group, then */
	uint32_t rate;                /* came in a window, in the last one */
	unsigned level;               /* how often N is halved */
	bool found;                   /* a queue was long in this window */
	bool lacked;                  /* and more could have been taken than was allowed */
};

/* came, local, stolen: so many connections came to the group, were taken by their home's workers,
 * and by others; counted around. */
void balance_follow(struct balance *balance, uint64_t now_ms, uint32_t came, uint32_t local,
		    uint32_t stolen);
/* Enough connections come for their distribution to matter. */
bool balance_is_busy(const struct balance *balance);
/* A queue of that length, whose head has waited for age_ms, is for others too. is_still: its worker
 * has not come around for some time. */
bool balance_is_long(uint32_t length, uint32_t age_ms, bool is_still);
/* A worker that has connections of its own, whose head has waited for own_ms: those of another's
 * queue come first that have waited for longer than this. */
uint32_t balance_older_ms(uint32_t own_ms);
/* Such a queue was found: how many this worker may take now, N being the policy's. Of one whose
 * worker is still nothing is taken from anybody: then there is no bound. */
unsigned balance_allow(struct balance *balance, unsigned n, bool is_still, uint32_t local,
		       uint32_t stolen);
