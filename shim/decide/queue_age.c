#include "shim/decide/queue_age.h"

struct note {
	uint32_t ms, came;
};

/* The one written so many notes ago, 1 being the last. */
static struct note note_at(const struct queue_age *queue, uint32_t next, unsigned ago)
{
	uint64_t note = atomic_load_explicit(&queue->note[(next - ago) % QUEUE_NOTES],
					     memory_order_relaxed);

	return (struct note){.ms = (uint32_t)(note >> 32), .came = (uint32_t)note};
}

static uint32_t next_of(const struct queue_age *queue)
{
	return atomic_load_explicit(&queue->next, memory_order_relaxed);
}

/* Who writes at the same time may be a little later, or earlier. */
static uint32_t since(uint32_t now_ms, uint32_t ms)
{
	return (int32_t)(now_ms - ms) > 0 ? now_ms - ms : 0;
}

/* How many came by then and were not taken. */
static uint32_t left_of(struct note note, uint32_t taken)
{
	return (int32_t)(note.came - taken) > 0 ? note.came - taken : 0;
}

bool queue_age_is_due(const struct queue_age *queue, uint32_t now_ms, uint32_t taken)
{
	uint32_t passed = now_ms - note_at(queue, next_of(queue), 1).ms;

	return passed && passed >= queue_age_of(queue, now_ms, taken) / (QUEUE_NOTES / 4);
}

void queue_age_note(struct queue_age *queue, uint32_t now_ms, uint32_t came)
{
	uint32_t at = atomic_fetch_add_explicit(&queue->next, 1, memory_order_relaxed);

	atomic_store_explicit(&queue->note[at % QUEUE_NOTES], (uint64_t)now_ms << 32 | came,
			      memory_order_relaxed);
}

uint32_t queue_age_length(const struct queue_age *queue, uint32_t taken)
{
	return left_of(note_at(queue, next_of(queue), 1), taken);
}

uint32_t queue_age_of(const struct queue_age *queue, uint32_t now_ms, uint32_t taken)
{
	uint32_t next = next_of(queue), age = 0;

	for (unsigned ago = 1; ago <= QUEUE_NOTES; ago++) {
		struct note note = note_at(queue, next, ago);
		if (!left_of(note, taken))
			break;
		age = since(now_ms, note.ms);
	}
	return age;
}

uint32_t queue_age_older(const struct queue_age *queue, uint32_t now_ms, uint32_t taken,
			 uint32_t age_ms)
{
	uint32_t next = next_of(queue);

	for (unsigned ago = 1; ago <= QUEUE_NOTES; ago++) {
		struct note note = note_at(queue, next, ago);
		if (since(now_ms, note.ms) >= age_ms)
			return left_of(note, taken);
	}
	return 0;
}
