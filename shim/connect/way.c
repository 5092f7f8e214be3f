#include "shim/connect/way.h"
#include "shim/connect/outgoing.h"
#include "shim/connect/translation.h"
#include "shim/kernel/socket.h"
#include "shim/process/fd_table.h"
#include <string.h>

static uint8_t tos_of(int fd, uint8_t family)
{
	int tos = family == AF_INET ? socket_get_int(fd, IPPROTO_IP, IP_TOS, 0)
				    : socket_get_int(fd, IPPROTO_IPV6, IPV6_TCLASS, 0);

	/* Without the bits of ECN. */
	return (uint8_t)tos & 0xfc;
}

/* The question to the routing table. False where the application has a port of its own by now. */
static bool ask_about(int fd, uint32_t bits, const struct destination *to,
		      struct route_query *query)
{
	struct socket_address bound;

	memset(query, 0, sizeof(*query));
	query->family = to->flow.family;
	memcpy(query->remote, to->flow.remote, sizeof(query->remote));
	query->bound_to = to->interface;
	if (bits & SOCKET_DEVICE)
		query->bound_to =
			(uint32_t)socket_get_int(fd, SOL_SOCKET, SO_BINDTOIFINDEX_OPTION, 0);
	if (bits & SOCKET_MARK)
		query->mark = (uint32_t)socket_get_int(fd, SOL_SOCKET, SO_MARK, 0);
	if (outgoing_asks_port())
		query->remote_port = to->flow.remote_port;
	if (bits & SOCKET_TOS && outgoing_asks_tos())
		query->tos = tos_of(fd, query->family);
	if (!(bits & SOCKET_ADDRESS))
		return true;
	/* A connection that ended gave its port back, but the kernel goes on showing it. */
	return !socket_local(fd, &bound) &&
	       (!destination_local(&bound.any, query->local) || bits & SOCKET_CALLED);
}

enum way_found way_find(int fd, uint32_t bits, const struct destination *to, struct way *way)
{
	struct route_query query;
	struct route_answer answer;

	if (!way->uplinks)
		return WAY_UNPREDICTABLE;
	if (!ask_about(fd, bits, to, &query))
		return WAY_BOUND;
	if (outgoing_route(&query, &answer))
		return WAY_NONE;
	if (answer.is_local)
		return WAY_LOCAL;
	way->uplink = uplink_find(way->uplinks, answer.ifindex);
	way->flow = to->flow;
	memcpy(way->flow.local, answer.local, sizeof(way->flow.local));
	if (translation_known(&way->flow)) {
		way->uplink = NULL;
		return WAY_UNPREDICTABLE;
	}
	if (!way->uplink || !way->uplink->predictable[flow_family(&way->flow)])
		return WAY_UNPREDICTABLE;
	return WAY_FOUND;
}
