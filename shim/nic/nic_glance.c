#include "shim/nic/nic_glance.h"
#include "shim/nic/nic_read.h"
#include "shim/nic/nic_work.h"
#include <string.h>

static bool is_watched(const struct nic_view *view)
{
	/* A veth or tunnel can only have had its RPS masks changed; look where they matter. */
	return view->up && (view->kind == NIC_PHYSICAL || view->spreads) &&
	       !nic_stands_on_others(view);
}

static void copy_set(struct nic_set *to, const struct nic_set *from)
{
	to->count = from->count;
	to->missed = from->missed;
	memcpy(to->view, from->view, from->count * sizeof(from->view[0]));
}

bool nic_glance(struct nic_set *out, const struct nic_set *before, const struct policy *policy,
		const struct nic_sources *sources)
{
	struct nic_view *again = &sources->work->again;
	bool changed = false;

	for (unsigned i = 0; i < before->count; i++) {
		const struct nic_view *view = &before->view[i];

		if (!is_watched(view))
			continue;
		nic_reread(again, view, policy, sources);
		/* Both were zeroed before they were filled, so padding compares equal too.
		 * NOLINTNEXTLINE(bugprone-suspicious-memory-comparison) */
		if (!memcmp(again, view, sizeof(*view)))
			continue;
		if (!changed)
			copy_set(out, before);
		changed = true;
		memcpy(&out->view[i], again, sizeof(*again));
	}
	if (changed)
		nic_stack_up(out, policy);
	return changed;
}
