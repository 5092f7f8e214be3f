/* What the kernel does with packets after the NIC: RPS and RFS on receive, XPS on transmit. */
#include "shim/kernel/procfs.h"
#include "shim/kernel/sys.h"
#include "shim/nic/nic_read.h"
#include <errno.h>
#include <string.h>

/* Below the directory of a device's queues. */
static struct path queue_path(const char *side, unsigned queue, const char *file)
{
	struct path path = path_of(side);

	path_add_number(&path, queue);
	path_add(&path, file);
	return path;
}

static void rps_fill(struct rps_map *rps, const cpu_set_t *cpus)
{
	rps->count = 0;
	for (int cpu = cpu_set_next(cpus, 0); cpu >= 0 && rps->count < RSS_RPS_MAX;
	     cpu = cpu_set_next(cpus, cpu + 1))
		rps->cpu[rps->count++] = (uint16_t)cpu;
}

/* What RPS would give to an unplugged CPU stays where the queue's interrupt is (get_rps_cpu). */
static void leave_unplugged(struct nic_view *view, const struct nic_sources *sources)
{
	struct path path = path_of("devices/system/cpu/online");
	const struct arrival *arrival = &view->arrival;
	cpu_set_t online, there;

	if (procfs_cpu_list(sources->sys, &path, &online) < 0)
		return;
	CPU_AND(&there, &view->cpus, &online);
	if (CPU_EQUAL(&there, &view->cpus))
		return;
	view->rps_differs = true;
	for (unsigned i = 0; i < arrival->queue_count; i++)
		if (arrival->queue_cpu[i] >= 0)
			CPU_SET(arrival->queue_cpu[i], &there);
	view->cpus = there;
}

/* One mask for all queues is what struct arrival can hold. A mask of one CPU a queue is the same as
 * an interrupt there; anything else makes the CPU depend on the queue and the hash. */
static void read_rps(struct nic_view *view, int queues, const struct nic_sources *sources)
{
	struct arrival *arrival = &view->arrival;
	int16_t single[RSS_QUEUES_MAX];
	bool some_spread = false;
	bool unlike = false;
	cpu_set_t first;
	cpu_set_t mask;
	cpu_set_t all;
	unsigned queue;
	int error = 0;

	CPU_ZERO(&first);
	CPU_ZERO(&all);
	for (queue = 0; queue < RSS_QUEUES_MAX; queue++) {
		struct path path = queue_path("rx-", queue, "/rps_cpus");

		error = procfs_cpu_mask(queues, &path, &mask);
		if (error)
			break;
		if (!queue)
			first = mask;
		CPU_OR(&all, &all, &mask);
		unlike |= !CPU_EQUAL(&mask, &first);
		some_spread |= CPU_COUNT(&mask) > 1;
		single[queue] = (int16_t)cpu_set_single(&mask);
	}
	if (!queue) {
		nic_unknown(view, VALUE_RPS, error);
		return;
	}
	nic_known(view, VALUE_RPS, ORIGIN_SYSFS);
	if (!nic_knows(view, VALUE_QUEUES)) {
		arrival->queue_count = (uint16_t)queue;
		nic_known(view, VALUE_QUEUES, ORIGIN_SYSFS);
	}
	if (some_spread) {
		view->rps_differs = unlike;
		view->cpus = all;
		rps_fill(&arrival->rps, &first);
		leave_unplugged(view, sources);
		return;
	}
	for (unsigned i = 0; i < queue && i < arrival->queue_count; i++) {
		if (single[i] < 0)
			continue;
		arrival->queue_cpu[i] = single[i];
		nic_known(view, VALUE_QUEUE_CPU, ORIGIN_SYSFS);
	}
}

/* On where both the global table and a queue's own have entries. */
static void read_rfs(struct nic_view *view, int queues, const struct nic_sources *sources)
{
	struct path global = path_of("sys/net/core/rps_sock_flow_entries");
	long entries = 0;
	int error = procfs_number(sources->proc, &global, &entries);

	/* The file is in the first network namespace only, the table is everybody's. */
	if (!error && !entries) {
		nic_known(view, VALUE_RFS, ORIGIN_PROC);
		return;
	}
	for (unsigned queue = 0; queue < view->arrival.queue_count; queue++) {
		struct path path = queue_path("rx-", queue, "/rps_flow_cnt");
		long flows;

		error = procfs_number(queues, &path, &flows);
		if (error) {
			nic_unknown(view, VALUE_RFS, error);
			return;
		}
		view->rfs |= flows > 0;
	}
	/* With ntuple filters a driver may be asked to steer the flow itself. */
	view->accelerated_rfs = view->rfs && view->ntuple;
	nic_known(view, VALUE_RFS, ORIGIN_SYSFS);
}

static void read_xps(struct nic_view *view, int queues)
{
	unsigned queue;
	int error = 0;

	for (queue = 0; queue < RSS_QUEUES_MAX; queue++) {
		struct path path = queue_path("tx-", queue, "/xps_cpus");
		cpu_set_t mask;

		error = procfs_cpu_mask(queues, &path, &mask);
		/* A device of one queue has the file, but no mask to show. */
		if (error)
			break;
		for (int cpu = cpu_set_next(&mask, 0); cpu >= 0; cpu = cpu_set_next(&mask, cpu + 1))
			if (view->xps_queue[cpu] < 0)
				view->xps_queue[cpu] = (int16_t)queue;
	}
	if (queue)
		nic_known(view, VALUE_XPS, ORIGIN_SYSFS);
	else
		nic_unknown(view, VALUE_XPS, error);
}

void nic_read_steering(struct nic_view *view, const struct nic_sources *sources)
{
	struct path path = path_of("class/net/");
	int queues;

	path_add(&path, view->name);
	path_add(&path, "/queues");
	/* From /sys on, each file would take twice the time. */
	queues = procfs_open(sources->sys, &path);
	read_rps(view, queues, sources);
	if (view->kind == NIC_PHYSICAL)
		read_rfs(view, queues, sources);
	if (sources->detail)
		read_xps(view, queues);
	if (queues >= 0)
		sys(SYS_close, queues);
}
