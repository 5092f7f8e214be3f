/* Questions about what a scan found. Pure. */
#include "shim/nic/nic_view.h"
#include <string.h>

bool nic_stands_on_others(const struct nic_view *view)
{
	switch (view->kind) {
	case NIC_VLAN:
	case NIC_MACVLAN:
	case NIC_BOND:
	case NIC_BRIDGE:
	case NIC_VRF:
		return true;
	case NIC_PHYSICAL: /* hv_netvsc over its virtual function, net_failover */
	case NIC_VIRTUAL:
		return view->lower_count > 0;
	default:
		return false;
	}
}

bool nic_set_same(const struct nic_set *a, const struct nic_set *b)
{
	/* Views are zeroed before they are filled, so padding compares equal too.
	 * NOLINTNEXTLINE(bugprone-suspicious-memory-comparison) */
	return a->count == b->count && a->missed == b->missed &&
	       !memcmp(a->view, b->view, a->count * sizeof(a->view[0]));
}

const struct nic_view *nic_by_index(const struct nic_set *set, uint32_t ifindex)
{
	for (unsigned i = 0; set && i < set->count; i++)
		if (set->view[i].ifindex == ifindex)
			return &set->view[i];
	return NULL;
}

const struct nic_view *nic_by_name(const struct nic_set *set, const char *name)
{
	for (unsigned i = 0; set && i < set->count; i++)
		if (!strcmp(set->view[i].name, name))
			return &set->view[i];
	return NULL;
}

bool nic_any_learnable(const struct nic_set *set)
{
	for (unsigned i = 0; set && i < set->count; i++)
		if (set->view[i].learnable)
			return true;
	return false;
}

bool nic_may_spread(const struct nic_set *set)
{
	for (unsigned i = 0; set && i < set->count; i++)
		if (set->view[i].spreads || set->view[i].spreads_not == REASON_ONE_CPU)
			return true;
	return nic_any_learnable(set);
}

unsigned nic_spreading(const struct nic_set *set, uint32_t *ifindexes, unsigned max,
		       cpu_set_t *cpus)
{
	unsigned count = 0;

	if (cpus)
		CPU_ZERO(cpus);
	for (unsigned i = 0; set && i < set->count && count < max; i++) {
		const struct nic_view *view = &set->view[i];

		if (!view->spreads)
			continue;
		ifindexes[count++] = view->ifindex;
		if (cpus)
			CPU_OR(cpus, cpus, &view->cpus);
	}
	return count;
}
