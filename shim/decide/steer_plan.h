/* Which slots serve the connections whose packets arrive on a CPU.
 *
 * A pure function of who watches what: every process of an application that computes it from the
 * same ledger gets the same plan, so it does not matter who attaches the program. */
#pragma once
#include "shim/decide/shift.h"
#include <sched.h>

#define STEER_CPUS_MAX 256
/* Where a part of a slot's connections is steered elsewhere, its CPU has a target for each eighth:
 * as long as there is room for them. */
#define STEER_SHIFTED_MAX 256
/* Each slot is host to its own CPU's connections, or a guest, once; and each CPU that has no worker
 * gets at least one. */
#define STEER_TARGETS_MAX (SLOTS_MAX + STEER_CPUS_MAX + STEER_SHIFTED_MAX)

struct steer_input {
	unsigned slot_count;
	uint16_t slot_cpu[SLOTS_MAX]; /* CPU of each slot, no CPU twice */
	struct slot_set watched;      /* slots that a live worker watches */
	uint64_t parts[SLOTS_MAX];    /* what of each is steered elsewhere, see shift.h */
	cpu_set_t arrivals;           /* CPUs that run a receive queue's packets */
	/* How far apart two CPUs are, 0 the same; NULL: all alike. */
	int (*distance)(const void *context, int cpu, int other);
	const void *distance_context;
};

struct steer_plan {
	unsigned cpu_count;
	struct steer_entry {
		uint16_t cpu;          /* ascending */
		uint16_t first, count; /* its slots in target[]; connections are spread over them */
	} entry[STEER_CPUS_MAX];
	unsigned target_count;
	uint16_t target[STEER_TARGETS_MAX];
	/* The CPU whose connections a slot gets before those of CPUs without a worker; -1: the slot
	 * is not watched. */
	int16_t home[SLOTS_MAX];
};

/* CPUs that have no entry go to the common queue: all of them where nothing is watched. */
void steer_plan_make(struct steer_plan *plan, const struct steer_input *input);
