/* Questions about NICs. */
#include "shim/api/api.h"
#include "shim/api/view.h"
#include "shim/kernel/procfs.h"
#include <errno.h>
#include <string.h>

API int rssshim_nics(const struct rssshim *rss, unsigned *nics, unsigned max)
{
	const struct view *view = view_begin(rss);
	int count = view->nics.count;

	for (unsigned i = 0; i < view->nics.count && i < max; i++)
		nics[i] = view->index[i];
	view_end(rss);
	return count;
}

static const char *sentence(enum nic_reason reason)
{
	return reason == REASON_NONE ? NULL : nic_reason_text(reason);
}

static void tell(struct rssshim_nic *facts, const struct nic_view *nic)
{
	memset(facts, 0, sizeof(*facts));
	_Static_assert(sizeof(facts->name) == sizeof(nic->name), "a name fits");
	memcpy(facts->name, nic->name, sizeof(facts->name));
	facts->index = nic->ifindex;
	facts->rx_queues = nic->arrival.queue_count;
	facts->tx_queues = nic->tx_count;
	facts->table_size = nic->arrival.table.size;
	facts->up = nic->up;
	facts->multi_queue = nic->multi_queue;
	facts->spreads = nic->spreads;
	facts->follows_flow = nic->flow_director || nic->rfs;
	facts->rps = nic->arrival.rps.count > 0;
	facts->spreads_not = sentence(nic->spreads_not);
	for (int family = 0; family < FLOW_FAMILIES; family++) {
		facts->hashes_ports[family] = nic->fact[VALUE_FIELDS].origin != ORIGIN_UNKNOWN &&
					      nic->arrival.hash.fields[family] == FIELDS_4_TUPLE;
		facts->predictable[family] = nic->predictable[family];
		facts->predictable_not[family] = sentence(nic->predictable_not[family]);
	}
}

API int rssshim_nic(const struct rssshim *rss, unsigned index, struct rssshim_nic *facts)
{
	const struct view *view = view_begin(rss);
	int nic = view_find(view, index);

	if (nic >= 0)
		tell(facts, &view->nics.view[nic]);
	view_end(rss);
	return nic < 0 ? -ENODEV : 0;
}

static int cpu_at(const int16_t *cpus, unsigned queue, unsigned count)
{
	return queue < count && queue < RSS_QUEUES_MAX ? cpus[queue] : -1;
}

API int rssshim_queues(const struct rssshim *rss, unsigned index, struct rssshim_queue *queues,
		       unsigned max)
{
	const struct view *view = view_begin(rss);
	int nic = view_find(view, index), count = -ENODEV;

	if (nic >= 0) {
		const struct nic_view *found = &view->nics.view[nic];
		unsigned rx = found->arrival.queue_count, tx = found->tx_count;

		count = (int)(rx > tx ? rx : tx);
		for (unsigned i = 0; i < (unsigned)count && i < max; i++) {
			queues[i].rx_cpu = cpu_at(found->arrival.queue_cpu, i, rx);
			queues[i].tx_cpu = cpu_at(found->tx_cpu, i, tx);
		}
	}
	view_end(rss);
	return count;
}

API int rssshim_cpus(const struct rssshim *rss, unsigned index, int *cpus, unsigned max)
{
	const struct view *view = view_begin(rss);
	int nic = view_find(view, index), count = -ENODEV;

	if (nic >= 0) {
		const cpu_set_t *set = &view->nics.view[nic].cpus;

		count = 0;
		for (int cpu = cpu_set_next(set, 0); cpu >= 0; cpu = cpu_set_next(set, cpu + 1)) {
			if ((unsigned)count < max)
				cpus[count] = cpu;
			count++;
		}
	}
	view_end(rss);
	return count;
}
