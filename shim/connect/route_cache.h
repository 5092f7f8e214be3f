/* What the kernel said about ways to destinations, until something changes.
 *
 * A fixed number of places, each with a sequence of its own: readers never wait, and a reader that
 * met a writer sees a miss. No pointers, no kernel in it. */
#pragma once
#include "shim/kernel/route.h"
#include <stdatomic.h>

#define ROUTE_CACHE_PLACES 16384 /* 1.3 MB, of which what is never written takes no memory */
#define ROUTE_CACHE_WAYS   4
#define ROUTE_CACHE_WORDS  9

struct route_cache_place {
	_Atomic uint32_t sequence; /* odd: being written */
	_Atomic uint32_t generation;
	_Atomic uint64_t words[ROUTE_CACHE_WORDS]; /* query, then answer */
};

struct route_cache {
	_Atomic uint32_t generation; /* 0: nothing is remembered yet */
	_Atomic uint32_t victim;
	struct route_cache_place place[ROUTE_CACHE_PLACES];
};

/* Forgets everything. */
void route_cache_drop(struct route_cache *cache);

/* To be read before the kernel is asked: what it said before a drop must not be kept after it. */
uint32_t route_cache_generation(const struct route_cache *cache);

bool route_cache_find(struct route_cache *cache, const struct route_query *query,
		      struct route_answer *answer);
void route_cache_keep(struct route_cache *cache, uint32_t generation,
		      const struct route_query *query, const struct route_answer *answer);
