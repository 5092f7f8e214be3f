#include "shim/kernel/topology.h"
#include "shim/kernel/procfs.h"
#include "shim/kernel/sys.h"
#include <stdbool.h>
#include <string.h>

static struct path cpu_path(int cpu, const char *file)
{
	struct path path = path_of("devices/system/cpu/cpu");

	path_add_number(&path, (unsigned)cpu);
	path_add(&path, file);
	return path;
}

static void name_group(int16_t *group, const cpu_set_t *members)
{
	int name = cpu_set_next(members, 0);

	for (int cpu = name; cpu >= 0; cpu = cpu_set_next(members, cpu + 1))
		group[cpu] = (int16_t)name;
}

/* One file a group, not one a CPU: what a member's file names is not read again. */
static void read_groups(int sys_dir, const cpu_set_t *online, const char *file,
			const char *otherwise, int16_t *group)
{
	for (int cpu = cpu_set_next(online, 0); cpu >= 0; cpu = cpu_set_next(online, cpu + 1)) {
		struct path path = cpu_path(cpu, file);
		cpu_set_t members;
		int error;

		if (group[cpu] >= 0)
			continue;
		error = procfs_cpu_list(sys_dir, &path, &members);
		if (error && otherwise) {
			path = cpu_path(cpu, otherwise);
			error = procfs_cpu_list(sys_dir, &path, &members);
		}
		if (error)
			return; /* the same on all CPUs */
		CPU_SET(cpu, &members);
		name_group(group, &members);
	}
}

struct node_walk {
	struct cpu_topology *topology;
	int sys;
};

static bool on_node(void *context, const char *entry)
{
	struct node_walk *walk = context;
	struct path path = path_of("devices/system/node/");
	cpu_set_t members;
	long node;

	if (strncmp(entry, "node", 4) || !number_parse(entry + 4, strlen(entry + 4), &node))
		return true;
	path_add(&path, entry);
	path_add(&path, "/cpulist");
	if (!procfs_cpu_list(walk->sys, &path, &members))
		name_group(walk->topology->node, &members);
	return true;
}

void topology_read(struct cpu_topology *topology, int sys_dir)
{
	struct path online = path_of("devices/system/cpu/online");
	struct path isolated = path_of("devices/system/cpu/isolated");
	struct path nohz = path_of("devices/system/cpu/nohz_full");
	struct path nodes = path_of("devices/system/node");
	struct node_walk walk = {.topology = topology, .sys = sys_dir};
	cpu_set_t more;

	memset(topology, 0, sizeof(*topology));
	memset(topology->core, -1, sizeof(topology->core));
	memset(topology->cache, -1, sizeof(topology->cache));
	memset(topology->node, -1, sizeof(topology->node));
	sys(SYS_sched_getaffinity, 0, sizeof(topology->allowed), &topology->allowed);
	if (procfs_cpu_list(sys_dir, &online, &topology->online))
		topology->online = topology->allowed;
	if (!procfs_cpu_list(sys_dir, &isolated, &more))
		topology->isolated = more;
	/* "(null)" on kernels without it is no list, and leaves the set empty. */
	if (!procfs_cpu_list(sys_dir, &nohz, &more))
		CPU_OR(&topology->isolated, &topology->isolated, &more);
	for (int cpu = 0; (cpu = cpu_set_next(&topology->online, cpu)) >= 0; cpu++)
		topology->count = (uint16_t)(cpu + 1);
	read_groups(sys_dir, &topology->online, "/topology/thread_siblings_list", NULL,
		    topology->core);
	read_groups(sys_dir, &topology->online, "/cache/index3/shared_cpu_list",
		    "/cache/index2/shared_cpu_list", topology->cache);
	if (procfs_list(sys_dir, &nodes, on_node, &walk))
		name_group(topology->node, &topology->online); /* a kernel without NUMA */
}

static bool together(const int16_t *group, int a, int b)
{
	return group[a] >= 0 && group[a] == group[b];
}

enum cpu_distance topology_distance(const struct cpu_topology *topology, int a, int b)
{
	if (a == b)
		return CPU_SAME;
	if (a < 0 || b < 0 || a >= TOPOLOGY_CPUS || b >= TOPOLOGY_CPUS)
		return CPU_FAR;
	if (together(topology->core, a, b))
		return CPU_SIBLING;
	if (together(topology->cache, a, b))
		return CPU_CACHE;
	return together(topology->node, a, b) ? CPU_NODE : CPU_FAR;
}

int topology_nearest(const struct cpu_topology *topology, int cpu, const cpu_set_t *among)
{
	enum cpu_distance best = CPU_FAR;
	int nearest = -1;

	for (int other = cpu_set_next(among, 0); other >= 0;
	     other = cpu_set_next(among, other + 1)) {
		enum cpu_distance distance = topology_distance(topology, cpu, other);

		if (nearest < 0 || distance < best) {
			nearest = other;
			best = distance;
		}
	}
	return nearest;
}
