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

static inline void slot_add(struct slot_set *set, unsigned slot)
{
	set->word[slot / 64] |= UINT64_C(1) << (slot % 64);
}

static inline void slot_remove(struct slot_set *set, unsigned slot)
{
	set->word[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
}

static inline bool slot_in(const struct slot_set *set, unsigned slot)
{
	return set->word[slot / 64] >> (slot % 64) & 1;
}

static inline bool slots_empty(const struct slot_set *set)
{
	uint64_t any = 0;

	for (int i = 0; i < SLOTS_WORDS; i++)
		any |= set->word[i];
	return !any;
}

static inline bool slots_equal(const struct slot_set *a, const struct slot_set *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static inline void slots_join(struct slot_set *into, const struct slot_set *more)
{
	for (int i = 0; i < SLOTS_WORDS; i++)
		into->word[i] |= more->word[i];
}
