/* Reading an application's memory of counters, which may hold anything. For the command; pure. */
#pragma once
#include "shim/stat/stat_memory.h"
#include <stdbool.h>
#include <stddef.h>

/* Checks a copy of the memory and corrects what is wrong in it: numbers out of range, texts without
 * an end or with control characters. Afterwards everything in the copy is safe to use. Returns 0;
 * -EPROTO: not such a memory (or not ready yet); -EPROTONOSUPPORT: of another version. */
int stat_check(struct stat_memory *copy, size_t size);

struct stat_counter_info {
	const char *section, *key, *help;
};
extern const struct stat_counter_info stat_counters[STAT_COUNTERS];

/* What is listed, in this order. */
enum stat_section {
#define SECTION(section, title) STAT_SECTION_##section,
#include "shim/stat/counters.def"
	STAT_SECTIONS
};
struct stat_section_info {
	const char *name, *title;
};
extern const struct stat_section_info stat_sections[STAT_SECTIONS];
bool stat_is_in(int counter, const char *section);

/* Sums over all threads. */
struct stat_totals {
	uint64_t counter[STAT_COUNTERS];
};
void stat_sum(struct stat_totals *totals, const struct stat_memory *copy);

/* Connections accepted or made, steered or not. */
uint64_t stat_connections(const struct stat_totals *totals, enum stat_side side);

/* Subtracts what was already looked at in `earlier`, an older checked copy of the same memory. */
void stat_since(struct stat_memory *copy, const struct stat_memory *earlier);

/* What was looked at of one side. */
struct stat_outcome {
	uint64_t looked_at; /* the sum of the next three */
	uint64_t aligned, misaligned, unpinned;
	/* Would be aligned if steered: for accepted ones some pinned thread is at home there, for
	 * others there was a port to choose. */
	uint64_t reachable;
};
void stat_judge(struct stat_outcome *outcome, const struct stat_memory *copy, enum stat_side side);

/* What arrived on a CPU: its column in the table. */
void stat_judge_cpu(struct stat_outcome *outcome, const struct stat_memory *copy,
		    enum stat_side side, unsigned cpu);
/* By interface: its slot in the memory, or STAT_NO_NIC. */
void stat_judge_nic(struct stat_outcome *outcome, const struct stat_memory *copy,
		    enum stat_side side, unsigned slot);

/* Part of total in tenths of a percent, rounded down: 1000 means all of it. 0 of 0 is 0. */
unsigned stat_share(uint64_t part, uint64_t total);
