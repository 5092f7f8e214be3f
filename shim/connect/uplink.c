#include "shim/connect/uplink.h"
#include "shim/policy/policy.h"
#include <string.h>

bool uplinks_range(const struct local_ports *local, const struct policy_range *wanted, uint16_t *lo,
		   uint16_t *hi)
{
	*lo = local->lo;
	*hi = local->hi;
	if (!wanted->high)
		return true;
	if (*lo < wanted->low)
		*lo = wanted->low;
	if (*hi > wanted->high)
		*hi = wanted->high;
	return *lo <= *hi;
}

static void uplink_fill(struct uplink *out, const struct nic_view *view,
			const struct local_ports *local, uint16_t lo, uint16_t hi)
{
	memset(out, 0, sizeof(*out));
	memcpy(out->name, view->name, sizeof(out->name));
	out->ifindex = view->ifindex;
	out->may_learn = view->may_learn;
	out->learns = view->learnable;
	out->learned = view->learned && (view->predictable[0] || view->predictable[1]);
	out->cpus = view->cpus;
	memcpy(&out->arrival, &view->arrival, sizeof(out->arrival));
	for (enum flow_family family = 0; family < FLOW_FAMILIES; family++) {
		out->predictable[family] = view->predictable[family];
		out->untold[family] = view->untold[family];
	}
	ports_init(&out->ports, &out->arrival);
	port_range_init(&out->range, &out->ports, lo, hi);
	out->range.fingerprint = local_ports_fingerprint(local);
}

static const struct uplink *same_in(const struct uplinks *before, const struct uplink *now)
{
	for (unsigned i = 0; before && i < before->count; i++) {
		const struct uplink *then = &before->uplink[i];

		if (then->ifindex == now->ifindex &&
		    !memcmp(then->predictable, now->predictable, sizeof(now->predictable)) &&
		    arrival_same(&then->arrival, &now->arrival))
			return then;
	}
	return NULL;
}

static bool is_predictable(const struct nic_view *view)
{
	return view->predictable[FLOW_IPV4] || view->predictable[FLOW_IPV6];
}

static void uplinks_add(struct uplinks *out, const struct nic_view *view, uint16_t lo, uint16_t hi,
			const struct uplinks *before)
{
	if (out->count == UPLINKS_MAX) {
		out->missed++;
		return;
	}
	struct uplink *uplink = &out->uplink[out->count++];
	uplink_fill(uplink, view, &out->local_ports, lo, hi);
	const struct uplink *then = same_in(before, uplink);
	if (then)
		trust_copy(&uplink->trust, &then->trust);
	else if (view->disproved && !uplink->learned)
		trust_lose(&uplink->trust);
	out->learns |= uplink->learns;
	CPU_OR(&out->cpus, &out->cpus, &uplink->cpus);
}

void uplinks_fill(struct uplinks *out, const struct nic_set *nics, const struct local_ports *local,
		  uint16_t lo, uint16_t hi, const struct uplinks *before)
{
	out->generation = 0; /* what stood here is no more */
	out->count = out->missed = 0;
	out->learns = false;
	CPU_ZERO(&out->cpus);
	memcpy(&out->local_ports, local, sizeof(*local));
	for (unsigned i = 0; nics && i < nics->count; i++)
		if (is_predictable(&nics->view[i]))
			uplinks_add(out, &nics->view[i], lo, hi, before);
	/* A host of containers has many of these. */
	for (unsigned i = 0; nics && i < nics->count; i++)
		if (!is_predictable(&nics->view[i]) && nics->view[i].learnable)
			uplinks_add(out, &nics->view[i], lo, hi, before);
}

struct uplink *uplink_find(struct uplinks *uplinks, uint32_t ifindex)
{
	for (unsigned i = 0; i < uplinks->count; i++)
		if (uplinks->uplink[i].ifindex == ifindex)
			return &uplinks->uplink[i];
	return NULL;
}
