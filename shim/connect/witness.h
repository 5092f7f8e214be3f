/* Sees afterwards where connections arrived: whether it was where predicted, for a sample of them,
 * and for the statistics.
 *
 * The CPU is known once the handshake is over, so a socket is marked in its word and looked at when
 * the same thread connects the next time, or when it is closed. */
#pragma once
#include "shim/connect/way.h"

/* connect() went well, or is under way. news: to be looked at in any case. */
void witness_connected(int fd, const struct way *way, bool news);

/* Before a socket with SOCKET_WATCHED is closed. */
void witness_closing(int fd, uint32_t bits);
