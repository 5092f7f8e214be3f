/* Which part of a slot's connections is steered to other slots: `[balance] steal`.
 *
 * Stealing evens out what comes and goes. Where workers took a good part of another's queue window
 * after window, though, and somebody's own queue gets much less, an eighth of that slot's
 * connections is steered to the one that gets least, and so on, a step at a time; back again where
 * that one gets more than the slot itself, where few connections come, and now and then where
 * nobody's queue is long. All of it is in shared memory: any worker makes the next step, and the
 * program of the group is a function of it. */
#pragma once
#include "shim/decide/slots.h"
#include <stdatomic.h>

#define SHIFT_WINDOW_MS 100
#define SHIFT_PARTS     8

struct shift_slot {
	/* A byte an eighth: how many slots further it is steered, counted around; 0: not. */
	_Atomic uint64_t parts;
	_Atomic uint32_t local, lost; /* counts when the window began */
	_Atomic int32_t
		streak; /* windows that asked for a step, less others: there > 0, back < 0 */
	_Atomic uint32_t quiet; /* windows in which nothing was stolen */
};

struct shift {
	_Atomic uint64_t window_ms; /* when it began: who raises it follows */
	_Atomic uint32_t away;      /* eighths steered elsewhere, of all slots */
	struct shift_slot slot[SLOTS_MAX];
};

static inline unsigned shift_target(uint64_t parts, unsigned slot, unsigned part)
{
	return (slot + (unsigned)(parts >> (8 * part) & 255)) % SLOTS_MAX;
}

struct shift_input {
	unsigned slot_count;
	uint32_t passed_ms;      /* since the last time */
	struct slot_set watched; /* slots that a live worker watches */
	/* Taken from each slot's queue so far by its own workers, and by others; counted around. */
	uint32_t local[SLOTS_MAX], lost[SLOTS_MAX];
};

/* A window is over. Returns whether something is to be steered in another way. */
bool shift_follow(struct shift *shift, const struct shift_input *input);
