/* What the machine does with packets, as it is now: the NICs looked at anew whenever something
 * changed. What the kernel announces is heard at once by who waits for events, and asked for before
 * a connect() where nobody does; what /proc and /sys tell (interrupts that moved, RPS masks) each
 * process looks at every two seconds.
 *
 * Drivers (ethtool -X and -L, where the kernel does not announce that) are asked by one process of
 * an application at a time, and by the others when it found something changed. That can take as
 * long as somebody else is at work on a NIC: no other thread waits meanwhile. */
#pragma once
#include "shim/kernel/route.h"
#include "shim/nic/nic_sources.h"
#include "shim/nic/nic_view.h"
#include <stdint.h>

/* Once, after the NICs were looked at for the first time, before the application forks. */
void machine_start(void);

/* Whether a look is due: a few loads. now_ms: of a monotonic clock. waits: the calling thread waits
 * for events anyway; others leave it to those, where there are any that come around. */
bool machine_is_due(uint64_t now_ms, bool waits);

/* Whether something was learned that is not gone by yet. */
bool machine_has_learned(uint64_t now_ms);

/* Those below under self_lock(), not in a vfork child, after runtime_discover(). */

/* Looks if it is due. Others may have the lock meanwhile: what is read under it is to be read
 * afterwards. */
void machine_follow(uint64_t now_ms, bool waits);

/* The same for what is made once and for long, in a process that need not have followed yet. */
void machine_catch_up(uint64_t now_ms);

/* For who waits anyway: two descriptors (below 0: none) that become readable when the kernel
 * announces a change of routes, addresses, links or RSS. They hold until the next fork. Whoever
 * asks calls machine_noticed() when one does, and the next machine_follow() reads what came; until
 * then nothing has to be asked for. */
void machine_news(int fds[2]);
void machine_noticed(void);

/* The NICs as last looked at. Stays valid until two more changes. */
const struct nic_set *machine_nics(void);

/* Raised when the rules of routing changed; routes did then, too. */
uint32_t machine_rules_version(void);

/* To look with: the netlink sockets are this process's own, and of who looks at the NICs. */
const struct nic_sources *machine_sources(void);

/* Raised when the NICs changed, and when routes, addresses or links did; never 0. Need no lock. */
uint32_t machine_nics_version(void);
uint32_t machine_routes_version(void);

/* Asks the kernel which way an address is reached, and waits for nobody. Needs no lock. */
int machine_route(const struct route_query *query, struct route_answer *answer);

/* Before a descriptor of ours moves to another number, without self_lock(): waits until nobody is
 * in the midst of using it. False: it is none that is used without the lock. */
struct self_guard;
bool machine_yield(int fd, struct self_guard *guard);
void machine_yielded(const struct self_guard *guard);
