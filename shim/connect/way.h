/* Which way a connect() will leave, and whether that is a NIC that ports can be chosen for. */
#pragma once
#include "shim/connect/destination.h"
#include "shim/connect/uplink.h"

struct way {
	struct uplinks *uplinks;
	struct uplink *uplink;
	struct flow flow; /* the local port is still to be chosen */
};

enum way_found {
	WAY_FOUND,
	WAY_LOCAL,         /* no NIC is involved */
	WAY_NONE,          /* no route is known, so the connect will fail as a rule */
	WAY_UNPREDICTABLE, /* where the replies arrive is not known */
	WAY_BOUND,         /* the socket has a port by now */
};

/* `way` has its uplinks, or NULL for none; bits are the socket's SOCKET_* bits. */
enum way_found way_find(int fd, uint32_t bits, const struct destination *to, struct way *way);
