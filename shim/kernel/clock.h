/* The monotonic clock, without a system call. */
#pragma once
#include <stdint.h>
#include <time.h>

/* The longest tick there is: how far behind the clock may be. */
#define CLOCK_TICK_MS 10

static inline uint64_t clock_read_ms(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* As of the last tick: for deciding what is due. */
static inline uint64_t clock_ms(void)
{
	return clock_read_ms(CLOCK_MONOTONIC_COARSE);
}

/* To the millisecond, for 20 ns more. */
static inline uint64_t clock_exact_ms(void)
{
	return clock_read_ms(CLOCK_MONOTONIC);
}
