#include "shim/connect/trust.h"

#define WRONG_MIN     8
#define WRONG_ONE_IN  8
#define SAMPLES_MAX   (4 * TRUST_WINDOW) /* then the past counts half */
#define INTERVAL      32
#define INTERVAL_LOST 8
#define SAMPLES_MASK  0xffffu
#define WRONG_SHIFT   16

static uint64_t pack(unsigned samples, unsigned wrong, bool lost)
{
	return samples | (uint64_t)wrong << WRONG_SHIFT | (lost ? TRUST_IS_LOST : 0);
}

static uint64_t word_of(const struct trust *trust)
{
	return atomic_load_explicit(&trust->word, memory_order_relaxed);
}

void trust_reset(struct trust *trust)
{
	atomic_store_explicit(&trust->word, 0, memory_order_relaxed);
}

void trust_lose(struct trust *trust)
{
	atomic_store_explicit(&trust->word, pack(0, 0, true), memory_order_relaxed);
}

void trust_copy(struct trust *to, const struct trust *from)
{
	atomic_store_explicit(&to->word, word_of(from), memory_order_relaxed);
}

unsigned trust_samples(const struct trust *trust)
{
	return word_of(trust) & SAMPLES_MASK;
}

unsigned trust_wrong(const struct trust *trust)
{
	return word_of(trust) >> WRONG_SHIFT & SAMPLES_MASK;
}

static uint64_t after(uint64_t word, bool right, enum trust_event *event)
{
	unsigned samples = (word & SAMPLES_MASK) + 1;
	unsigned wrong = (word >> WRONG_SHIFT & SAMPLES_MASK) + !right;

	*event = TRUST_SAME;
	if (word & TRUST_IS_LOST) {
		if (!right)
			return pack(0, 0, true);
		if (samples < TRUST_WINDOW)
			return pack(samples, 0, true);
		*event = TRUST_REGAINED;
		return pack(0, 0, false);
	}
	if (wrong >= WRONG_MIN && wrong * WRONG_ONE_IN > samples) {
		*event = TRUST_LOST;
		return pack(0, 0, true);
	}
	if (samples == SAMPLES_MAX)
		return pack(samples / 2, wrong / 2, false);
	return pack(samples, wrong, false);
}

enum trust_event trust_note(struct trust *trust, bool right)
{
	uint64_t word = word_of(trust), next;
	enum trust_event event;

	do
		next = after(word, right, &event);
	while (!atomic_compare_exchange_weak_explicit(&trust->word, &word, next,
						      memory_order_relaxed, memory_order_relaxed));
	return event;
}

unsigned trust_interval(const struct trust *trust)
{
	if (trust_is_lost(trust))
		return INTERVAL_LOST;
	return trust_samples(trust) < TRUST_WINDOW || trust_wrong(trust) ? 1 : INTERVAL;
}
