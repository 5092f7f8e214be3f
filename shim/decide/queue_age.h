/* Since when the connection at the head of a queue has waited.
 *
 * The kernel tells how many wait, not for how long. But it is first come, first served: who notes
 * now and then how many ever came, knows when the one came that is to be taken next. Notes are in
 * shared memory and by whoever looks; a note that is lost makes an age less exact. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define QUEUE_NOTES 64

struct queue_age {
	_Atomic uint32_t next; /* note to be written, counted around */
	/* (milliseconds << 32) | came until then, both counted around. */
	_Atomic uint64_t note[QUEUE_NOTES];
} __attribute__((aligned(64)));

/* Whether another note would tell more. Close ones where the head is young, so that the notes
 * reach back behind an old one. taken: how many were taken from the queue so far. */
bool queue_age_is_due(const struct queue_age *queue, uint32_t now_ms, uint32_t taken);
void queue_age_note(struct queue_age *queue, uint32_t now_ms, uint32_t came);

/* Of who waits there according to the last note: how many. */
uint32_t queue_age_length(const struct queue_age *queue, uint32_t taken);
/* For how many milliseconds the head has been seen to wait; 0: nobody waits. */
uint32_t queue_age_of(const struct queue_age *queue, uint32_t now_ms, uint32_t taken);
/* How many of those who wait came more than age_ms ago. */
uint32_t queue_age_older(const struct queue_age *queue, uint32_t now_ms, uint32_t taken,
			 uint32_t age_ms);
