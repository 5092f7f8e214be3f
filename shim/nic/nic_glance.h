/* Changes of NICs that the kernel does not announce, as far as it tells without asking drivers:
 * interrupts moved by irqbalance, RPS masks, CPUs plugged or unplugged. Reads only /proc and /sys,
 * and so never waits for somebody who is changing a NIC. Finding ethtool -X and -L takes
 * nic_scan(). Measured: some 60 us for a NIC of one queue and 10 us for each further queue. */
#pragma once
#include "shim/nic/nic_view.h"

/* True: something is not as `before` says, and `out`, another set, holds how it is now. Looks only
 * at NICs that packets come in by; what stands on them follows from those. */
bool nic_glance(struct nic_set *out, const struct nic_set *before, const struct policy *policy,
		const struct nic_sources *sources);
