/* Which CPUs there are and how near one is to another. Read once; questions cost no system call. */
#pragma once
#include <sched.h>
#include <stdint.h>

#define TOPOLOGY_CPUS 1024

enum cpu_distance {
	CPU_SAME,
	CPU_SIBLING, /* hardware threads of one core */
	CPU_CACHE,   /* a shared L2 or L3 */
	CPU_NODE,    /* one NUMA node */
	CPU_FAR
};

/* Groups are named by their lowest CPU; -1: unknown, shared with nobody. */
struct cpu_topology {
	uint16_t count; /* CPUs of the arrays below that are present: highest number + 1 */
	cpu_set_t online;
	cpu_set_t allowed;  /* sched_getaffinity of the caller: its cgroup's cpuset and taskset */
	cpu_set_t isolated; /* isolcpus= and nohz_full=: do not put threads there unasked */
	int16_t core[TOPOLOGY_CPUS];
	int16_t cache[TOPOLOGY_CPUS];
	int16_t node[TOPOLOGY_CPUS];
};

/* sys: descriptor of /sys, or -errno: then all online CPUs count as one node. Never fails: what is
 * not readable is unknown. */
void topology_read(struct cpu_topology *topology, int sys);

enum cpu_distance topology_distance(const struct cpu_topology *topology, int a, int b);

/* The CPU of `among` nearest to `cpu`, the lowest number where several are; -1: empty set. */
int topology_nearest(const struct cpu_topology *topology, int cpu, const cpu_set_t *among);
