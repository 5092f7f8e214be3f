/* What the machine does with packets, as it is now: the NICs looked at anew whenever something
 * changed. What the kernel announces is heard at once by who waits for events, and asked for before
 * a connect() where nobody does; the rest (interrupts that moved, tables rewritten) is looked at
 * every two seconds. Each process follows for itself. */
#pragma once
#include "shim/nic/nic_sources.h"
#include "shim/nic/nic_view.h"
#include <stdint.h>

/* Whether a look is due: a few loads. now_ms: of a monotonic clock. */
bool machine_is_due(uint64_t now_ms);

/* Whether something was learned that is not gone by yet. */
bool machine_has_learned(uint64_t now_ms);

/* Those below under self_lock(), not in a vfork child, after runtime_discover(). */

/* Looks if it is due. */
void machine_follow(uint64_t now_ms);

/* For who waits anyway: two descriptors (below 0: none) that become readable when the kernel
 * announces a change of routes, addresses, links or RSS. They hold until the next fork. Whoever
 * asks calls machine_noticed() when one does, and the next machine_follow() reads what came; until
 * then nothing has to be asked for. */
void machine_news(int fds[2]);
void machine_noticed(void);

/* The NICs as last looked at. Stays valid until two more changes. */
const struct nic_set *machine_nics(void);

/* To look with: the netlink sockets are this process's own. */
const struct nic_sources *machine_sources(void);

/* Raised when the NICs changed, and when routes, addresses or links did; never 0. Need no lock. */
uint32_t machine_nics_version(void);
uint32_t machine_routes_version(void);
