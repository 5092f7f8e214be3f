/* Reading an application's memory, which may be anything: for the command, and pure. */
#pragma once
#include "shim/stat/stat_memory.h"
#include <stdbool.h>
#include <stddef.h>

/* Checks a copy of the memory and puts right what is not: numbers out of range, texts without an
 * end or with control characters. After it everything in the copy can be used as it is. Returns 0;
 * -EPROTO: no memory of ours (or not yet ready); -EPROTONOSUPPORT: of another version. */
int stat_check(struct stat_memory *copy, size_t size);

struct stat_counter_info {
	const char *section, *key, *help;
};
extern const struct stat_counter_info stat_counters[STAT_COUNTERS];

/* Sums over all threads. */
struct stat_totals {
	uint64_t counter[STAT_COUNTERS];
};
void stat_sum(struct stat_totals *totals, const struct stat_memory *copy);

/* What was looked at of one side. */
struct stat_outcome {
	uint64_t looked_at; /* the sum of the next three */
	uint64_t aligned, misaligned, unpinned;
	uint64_t reachable; /* arrived on a CPU that some pinned thread is at home on */
};
void stat_judge(struct stat_outcome *outcome, const struct stat_memory *copy, enum stat_side side);

/* Part of total in tenths of a percent, rounded down: 1000 means all of it. 0 of 0 is 0. */
unsigned stat_share(uint64_t part, uint64_t total);
