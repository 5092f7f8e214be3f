/* Destinations whose packets carry other addresses or ports outside than our socket has: SNAT,
 * masquerading, and DNAT to who really answers (published ports of containers, virtual addresses of
 * clusters). What the NIC hashes is then not what the socket says, and no port brings the replies
 * home.
 *
 * Only connection tracking on this host knows, and it tells who may administer the network: it is
 * asked about a connection that did not arrive where predicted. */
#pragma once
#include "shim/decide/flow.h"
#include <stdbool.h>

/* Asks about this connection, which did not arrive where it was predicted, if that was. True if
 * that is why; its remote side is then known as translated. Costs some system calls, unless refused
 * once. Leaves errno alone. */
bool translation_explains(const struct flow *flow);

/* Whether that remote side is known as translated: a load where none is. */
bool translation_known(const struct flow *flow);

/* Rules may have changed: forgets what is known. */
void translation_forget(void);
