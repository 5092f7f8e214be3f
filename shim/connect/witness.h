/* Sees afterwards where connections arrived: whether it was where predicted, for a sample of them,
 * and for the statistics.
 *
 * The CPU is known once the handshake is over, so a socket is marked in its word and looked at when
 * the same thread connects the next time, or when it is closed. */
#pragma once
#include "shim/connect/uplink.h"

/* connect() went well, or is under way. uplink: NULL where nothing is predicted. news: to be looked
 * at in any case. */
void witness_connected(int fd, const struct uplinks *uplinks, const struct uplink *uplink,
		       bool news);

/* Before a socket with SOCKET_WATCHED is closed. */
void witness_closing(int fd, uint32_t bits);
