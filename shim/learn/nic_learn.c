#include "shim/learn/nic_learn.h"
#include "shim/learn/teach.h"

static bool is_disproved(const struct nic_view *view)
{
	uint64_t disproved = view->may_learn ? teach_disproved(view->ifindex) : 0;

	if (!disproved || disproved == arrival_fingerprint(&view->arrival))
		return disproved;
	/* Of what was reported then: now that this changed, it is believed again, also when it
	 * comes back. It may just have been late: what is predicted between a change and its notice
	 * is wrong of the old state, not of the NIC. */
	teach_believe(view->ifindex, disproved);
	return false;
}

bool nic_learn(struct nic_view *view, struct learned *room)
{
	if (is_disproved(view))
		nic_disprove(view);
	if (!view->learnable)
		return true;
	if (!teach_learned(view->ifindex, room))
		return !teach_has_told(view->ifindex);
	nic_apply_learned(view, room);
	return true;
}
