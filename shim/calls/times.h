/* How long an application wants to wait, in the ways it may say so. */
#pragma once
#include <limits.h>
#include <stdbool.h>
#include <time.h>

/* The kernel refuses such a time, and is to do so itself. */
static inline bool time_is_bad(const struct timespec *time)
{
	return time && (time->tv_sec < 0 || time->tv_nsec < 0 || time->tv_nsec >= 1000000000);
}

/* In milliseconds, rounded up: never earlier than asked for. -1 for ever. */
static inline int time_to_ms(const struct timespec *time)
{
	if (!time)
		return -1;
	return time->tv_sec >= INT_MAX / 1000
		       ? INT_MAX
		       : (int)(time->tv_sec * 1000 + (time->tv_nsec + 999999) / 1000000);
}
