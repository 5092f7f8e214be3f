/* What changes of NICs without a word, as far as the kernel tells without asking drivers:
 * interrupts moved by irqbalance, RPS masks, CPUs plugged. Reads /proc and /sys only, and so waits
 * for nobody who is changing a NIC. ethtool -X and -L take nic_scan(). Measured: some 60 us for a
 * NIC of one queue and 10 us for each further one. */
#pragma once
#include "shim/nic/nic_view.h"

/* True: something is not as `before` says; `out`, another set, is how it is. Only NICs that packets
 * come in by are looked at: what stands on them follows. */
bool nic_glance(struct nic_set *out, const struct nic_set *before, const struct policy *policy,
		const struct nic_sources *sources);
