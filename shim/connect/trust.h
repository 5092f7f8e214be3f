/* Whether what is predicted of one NIC comes true, judged by a sample of its connections.
 *
 * Trusted at first. Lost when more than one sample in eight of a window was wrong, eight at least;
 * regained when a whole window in a row was right: what is predicted can be compared with what
 * happened whether or not ports were chosen by it. Shared by threads without locks; pure. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define TRUST_WINDOW 64 /* samples */

enum trust_event { TRUST_SAME, TRUST_LOST, TRUST_REGAINED };

struct trust {
	_Atomic uint64_t word; /* samples, wrong ones, lost or not */
};
#define TRUST_IS_LOST (UINT64_C(1) << 32)

void trust_reset(struct trust *trust);
void trust_lose(struct trust *trust);
void trust_copy(struct trust *to, const struct trust *from);

/* One comparison. Of several threads, one is told that trust was lost or regained. */
enum trust_event trust_note(struct trust *trust, bool right);

static inline bool trust_is_lost(const struct trust *trust)
{
	return atomic_load_explicit(&trust->word, memory_order_relaxed) & TRUST_IS_LOST;
}

/* What the present window has: for the log. */
unsigned trust_samples(const struct trust *trust);
unsigned trust_wrong(const struct trust *trust);

/* Every how many connections one is to be looked at: 1 until a window is full and as long as it
 * has wrong ones. */
unsigned trust_interval(const struct trust *trust);
