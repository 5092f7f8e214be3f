/* A set of slots: the places of a listener's group, one a CPU. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define SLOTS_MAX   256
#define SLOTS_WORDS (SLOTS_MAX / 64)

struct slot_set {
	uint64_t word[SLOTS_WORDS];
};

/* Other threads look at a set while its own changes it: each word is whole at any time. */
static inline uint64_t slot_word(const struct slot_set *set, unsigned word)
{
	return __atomic_load_n(&set->word[word], __ATOMIC_RELAXED);
}

static inline void slot_set_word(struct slot_set *set, unsigned word, uint64_t bits)
{
	__atomic_store_n(&set->word[word], bits, __ATOMIC_RELAXED);
}

static inline void slot_add(struct slot_set *set, unsigned slot)
{
	slot_set_word(set, slot / 64, slot_word(set, slot / 64) | UINT64_C(1) << (slot % 64));
}

static inline void slot_remove(struct slot_set *set, unsigned slot)
{
	slot_set_word(set, slot / 64, slot_word(set, slot / 64) & ~(UINT64_C(1) << (slot % 64)));
}

static inline void slots_clear(struct slot_set *set)
{
	for (unsigned w = 0; w < SLOTS_WORDS; w++)
		slot_set_word(set, w, 0);
}

static inline bool slot_in(const struct slot_set *set, unsigned slot)
{
	return slot_word(set, slot / 64) >> (slot % 64) & 1;
}

static inline bool slots_empty(const struct slot_set *set)
{
	uint64_t any = 0;

	for (unsigned w = 0; w < SLOTS_WORDS; w++)
		any |= slot_word(set, w);
	return !any;
}

static inline bool slots_equal(const struct slot_set *a, const struct slot_set *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static inline void slots_join(struct slot_set *into, const struct slot_set *more)
{
	for (unsigned w = 0; w < SLOTS_WORDS; w++)
		slot_set_word(into, w, slot_word(into, w) | slot_word(more, w));
}
