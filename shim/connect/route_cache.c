#include "shim/connect/route_cache.h"
#include <string.h>

#define QUERY_WORDS  6
#define ANSWER_WORDS 3
#define IS_LOCAL     (UINT64_C(1) << 32)
#define ERROR_SHIFT  33

_Static_assert(QUERY_WORDS + ANSWER_WORDS <= ROUTE_CACHE_WORDS, "a place holds both");

static void query_words(const struct route_query *query, uint64_t words[QUERY_WORDS])
{
	memcpy(words, query->remote, 16);
	memcpy(words + 2, query->local, 16);
	words[4] = (uint64_t)query->bound_to << 32 | query->mark;
	words[5] = (uint64_t)query->remote_port << 16 | (uint64_t)query->tos << 8 | query->family;
}

static struct route_cache_place *places_of(struct route_cache *cache,
					   const uint64_t words[QUERY_WORDS])
{
	uint64_t hash = 0;

	for (int i = 0; i < QUERY_WORDS; i++) {
		hash = (hash ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
		hash ^= hash >> 29;
	}
	return cache->place + hash % (ROUTE_CACHE_PLACES / ROUTE_CACHE_WAYS) * ROUTE_CACHE_WAYS;
}

void route_cache_drop(struct route_cache *cache)
{
	/* 0 is what places never written hold. */
	if (atomic_fetch_add(&cache->generation, 1) + 1 == 0)
		atomic_fetch_add(&cache->generation, 1);
}

uint32_t route_cache_generation(const struct route_cache *cache)
{
	return atomic_load_explicit(&cache->generation, memory_order_acquire);
}

static bool place_holds(const struct route_cache_place *place, uint32_t generation,
			const uint64_t query[QUERY_WORDS])
{
	if (atomic_load_explicit(&place->generation, memory_order_relaxed) != generation)
		return false;
	for (int i = 0; i < QUERY_WORDS; i++)
		if (atomic_load_explicit(&place->words[i], memory_order_relaxed) != query[i])
			return false;
	return true;
}

bool route_cache_find(struct route_cache *cache, const struct route_query *query,
		      struct route_answer *answer)
{
	uint32_t generation = route_cache_generation(cache);
	uint64_t wanted[QUERY_WORDS], words[ANSWER_WORDS];

	if (generation == 0)
		return false;
	query_words(query, wanted);
	struct route_cache_place *place = places_of(cache, wanted);
	for (int way = 0; way < ROUTE_CACHE_WAYS; way++, place++) {
		uint32_t before = atomic_load_explicit(&place->sequence, memory_order_acquire);
		if (before & 1 || !place_holds(place, generation, wanted))
			continue;
		for (int i = 0; i < ANSWER_WORDS; i++)
			words[i] = atomic_load_explicit(&place->words[QUERY_WORDS + i],
							memory_order_relaxed);
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load_explicit(&place->sequence, memory_order_relaxed) != before)
			return false;
		answer->ifindex = (uint32_t)words[0];
		answer->is_local = words[0] & IS_LOCAL;
		answer->error = -(int)(words[0] >> ERROR_SHIFT);
		memcpy(answer->local, words + 1, 16);
		return true;
	}
	return false;
}

/* One that is of no use any more, else any. */
static struct route_cache_place *victim_of(struct route_cache *cache, uint32_t generation,
					   struct route_cache_place *places)
{
	for (int way = 0; way < ROUTE_CACHE_WAYS; way++)
		if (places[way].generation != generation)
			return &places[way];
	return &places[atomic_fetch_add(&cache->victim, 1) % ROUTE_CACHE_WAYS];
}

void route_cache_keep(struct route_cache *cache, uint32_t generation,
		      const struct route_query *query, const struct route_answer *answer)
{
	uint64_t words[ROUTE_CACHE_WORDS] = {0};

	query_words(query, words);
	words[QUERY_WORDS] = answer->ifindex | (answer->is_local ? IS_LOCAL : 0) |
			     (uint64_t)-answer->error << ERROR_SHIFT;
	memcpy(words + QUERY_WORDS + 1, answer->local, 16);

	struct route_cache_place *place = victim_of(cache, generation, places_of(cache, words));
	uint32_t before = atomic_load(&place->sequence);
	/* Another thread is writing there: what it has to say is as good. */
	if (before & 1 || !atomic_compare_exchange_strong(&place->sequence, &before, before + 1))
		return;
	atomic_thread_fence(memory_order_release);
	for (int i = 0; i < QUERY_WORDS + ANSWER_WORDS; i++)
		atomic_store_explicit(&place->words[i], words[i], memory_order_relaxed);
	atomic_store_explicit(&place->generation, generation, memory_order_relaxed);
	atomic_store_explicit(&place->sequence, before + 2, memory_order_release);
}
