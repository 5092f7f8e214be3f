/* What a process knows about its ways out: NICs, ports, routes. Kept up to date by whichever thread
 * connects when a look is due; read by all threads without locks. */
#pragma once
#include "shim/connect/route_cache.h"
#include "shim/connect/uplink.h"
#include "shim/decide/port_pick.h"

/* The way things are now; NULL where nothing can be steered: no NIC that can be predicted, a vfork
 * child. now_ms: of a monotonic clock. */
struct uplinks *outgoing_uplinks(uint64_t now_ms);

/* All that connections come in by, also where ports cannot be chosen; NULL where that is not known.
 */
struct uplinks *outgoing_watched(uint64_t now_ms);

/* What outgoing_uplinks() said last, without looking whether a look is due. */
struct uplinks *outgoing_known(void);

/* How many source ports may be held by bind() at once, where the kernel cannot be told a port in
 * another way; 0: it can. */
unsigned outgoing_held_most(void);

/* Whether the way depends on the destination's port, and on the type of service: the question is to
 * say them then, and only then, as each makes another one of it. */
bool outgoing_asks_port(void);
bool outgoing_asks_tos(void);

/* Which way a destination is reached: from memory, else from the kernel. 0 or -errno. */
int outgoing_route(const struct route_query *query, struct route_answer *answer);

/* The process's walk through its ports. */
struct port_pick *outgoing_pick(void);
