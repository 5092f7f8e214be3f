#include "shim/learn/nic_learn.h"
#include "shim/learn/teach.h"

static bool is_disproved(const struct nic_view *view)
{
	uint64_t disproved = view->may_learn ? teach_disproved(view->ifindex) : 0;

	/* Of what was reported then: when that changes, it is believed again. */
	return disproved && disproved == arrival_fingerprint(&view->arrival);
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
