/* Notices what the kernel does not announce: interrupts moved by irqbalance, ethtool -X and -L, RPS
 * masks. To be called every few seconds by one process of an application; changes that are
 * announced (routes, addresses, links) come from route_changed().
 *
 * It reads each NIC again and compares, so that it can miss nothing nic_scan() sees. Measured:
 * about 0.1 ms for a NIC of one queue and 10 us for each further one; every two seconds that is
 * less than a ten-thousandth of a CPU for a NIC of eight queues. */
#pragma once
#include "shim/nic/nic_view.h"

/* Room for one interface, kept by the caller: it is too large for the stack of a small thread. */
struct nic_watch {
	struct nic_view again;
};

/* Whether nic_scan() would say something else now than it said in `set`. Only NICs that packets
 * come in by are looked at: what stands on them follows. */
bool nic_watch_changed(struct nic_watch *watch, const struct nic_set *set,
		       const struct policy *policy, const struct nic_sources *sources);
