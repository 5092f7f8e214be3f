/* The monotonic clock, for deciding what is due: as of the last tick, and without a system call. */
#pragma once
#include <stdint.h>
#include <time.h>

/* The longest tick there is: how far behind the clock may be. */
#define CLOCK_TICK_MS 10

static inline uint64_t clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}
