/* The classic BPF program that picks the socket of a group for an arriving SYN.
 *
 * Attached with SO_ATTACH_REUSEPORT_CBPF, which needs no privilege. Its result is an index into the
 * group in the order of listen(); an index out of range leaves the choice to the kernel's hash. */
#pragma once
#include "shim/decide/steer_plan.h"
#include <linux/filter.h>

#define STEER_NICS_MAX 32
/* For any plan: a test and a step of the search a CPU, at most two instructions a target and three
 * more where there are several, the gate, the common sockets. 23 KB. */
#define STEER_PROGRAM_MAX (2 * STEER_NICS_MAX + 5 * STEER_CPUS_MAX + 2 * STEER_TARGETS_MAX + 8)

struct steer_gate {
	unsigned nic_count;
	uint32_t ifindex[STEER_NICS_MAX]; /* interfaces that spread over receive queues */
	unsigned member_base;             /* index of slot 0 in the group */
	unsigned common_base;             /* index of the application's own sockets ... */
	unsigned common_count;            /* ... and how many they are, at least 1 */
};

/* Writes the program, returns its length.
 * Packets of other interfaces (same-host clients arrive on their own CPU, so that steering them by
 * CPU would starve workers) and of CPUs outside the plan are spread over the common sockets. */
unsigned steer_program_make(struct sock_filter program[STEER_PROGRAM_MAX],
			    const struct steer_plan *plan, const struct steer_gate *gate);
