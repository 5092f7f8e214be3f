/* What the kernel does with packets after the NIC: RPS and RFS on receive, XPS on transmit. */
#include "shim/kernel/procfs.h"
#include "shim/kernel/sys.h"
#include "shim/nic/nic_read.h"
#include "shim/nic/nic_work.h"
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

static void add_mask(struct rps_masks *masks, unsigned queue, const cpu_set_t *mask)
{
	if (!queue)
		masks->first = *mask;
	CPU_OR(&masks->all, &masks->all, mask);
	masks->unlike |= !CPU_EQUAL(mask, &masks->first);
	masks->some_spread |= CPU_COUNT(mask) > 1;
	masks->single[queue] = (int16_t)cpu_set_single(mask);
	masks->none[queue] = !CPU_COUNT(mask);
}

/* What RPS would give to an unplugged CPU stays where the queue's interrupt is (get_rps_cpu), and
 * so does what it is not asked to move. */
static void spread_by_rps(struct nic_view *view, const struct rps_masks *masks,
			  const cpu_set_t *online)
{
	struct arrival *arrival = &view->arrival;
	bool unplugged;

	CPU_AND(&view->cpus, &masks->all, online);
	unplugged = !CPU_EQUAL(&view->cpus, &masks->all);
	view->rps_differs = masks->unlike || unplugged;
	rps_fill(&arrival->rps, masks->unlike ? &masks->all : &masks->first);
	for (unsigned i = 0; i < arrival->queue_count; i++)
		if (arrival->queue_cpu[i] >= 0 && (unplugged || masks->none[i]))
			CPU_SET(arrival->queue_cpu[i], &view->cpus);
}

/* One mask for all queues is what struct arrival can hold. A mask of one CPU a queue is the same as
 * an interrupt there; anything else makes the CPU depend on the queue and the hash. */
static void read_rps(struct nic_view *view, int queues, const struct nic_sources *sources)
{
	struct path online_file = path_of("devices/system/cpu/online");
	struct rps_masks *masks = &sources->work->rps;
	struct arrival *arrival = &view->arrival;
	cpu_set_t online, mask;
	unsigned queue;
	int error = 0;

	memset(masks, 0, sizeof(*masks));
	for (queue = 0; queue < RSS_QUEUES_MAX; queue++) {
		struct path path = queue_path("rx-", queue, "/rps_cpus");

		error = procfs_cpu_mask(queues, &path, &mask);
		if (error)
			break;
		add_mask(masks, queue, &mask);
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
	if (!CPU_COUNT(&masks->all))
		return;
	if (procfs_cpu_list(sources->sys, &online_file, &online) < 0)
		memset(&online, 0xff, sizeof(online));
	if (masks->some_spread) {
		spread_by_rps(view, masks, &online);
		return;
	}
	for (unsigned i = 0; i < queue && i < arrival->queue_count; i++) {
		if (masks->single[i] < 0 || !CPU_ISSET(masks->single[i], &online))
			continue;
		arrival->queue_cpu[i] = masks->single[i];
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
