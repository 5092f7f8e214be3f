/* Findings of `rssshim doctor`. */
#pragma once
#include "shim/command/nic_knowledge.h"
#include "shim/kernel/topology.h"

enum severity {
	FINDING_WARNING, /* costs something */
	FINDING_PROBLEM, /* nothing, or the wrong thing, is aligned */
};

struct doctor {
	struct nic_knowledge known;
	struct cpu_topology topology;
	unsigned problems;
	unsigned warnings;
};

/* One line of what is wrong; then the command that mends it, a format. */
void doctor_finding(struct doctor *doctor, enum severity severity, const char *what)
	__attribute__((nonnull));
void doctor_mend(const char *command, ...) __attribute__((format(printf, 1, 2)));

/* An interface that packets come in by. */
void doctor_nic(struct doctor *doctor, const struct nic_view *view);

/* Processes: irqbalance, threads of shimmed servers pinned where no queue is served. */
void doctor_processes(struct doctor *doctor, const cpu_set_t *receiving);

/* What stands between sockets and NICs: SNAT, bonds of unlike NICs, tunnels. */
void doctor_routes(struct doctor *doctor);
