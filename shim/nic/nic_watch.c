#include "shim/nic/nic_watch.h"
#include "shim/nic/nic_read.h"
#include <string.h>

static bool is_watched(const struct nic_view *view)
{
	/* A veth or tunnel can only have had its RPS masks changed; look where they matter. */
	return view->up && (view->kind == NIC_PHYSICAL || view->spreads) &&
	       !nic_stands_on_others(view);
}

bool nic_watch_changed(struct nic_watch *watch, const struct nic_set *set,
		       const struct policy *policy, const struct nic_sources *sources)
{
	for (unsigned i = 0; i < set->count; i++) {
		const struct nic_view *view = &set->view[i];

		if (!is_watched(view))
			continue;
		nic_reread(&watch->again, view, policy, sources);
		/* Both were zeroed before they were filled, so padding compares equal too.
		 * NOLINTNEXTLINE(bugprone-suspicious-memory-comparison) */
		if (memcmp(&watch->again, view, sizeof(*view)))
			return true;
	}
	return false;
}
