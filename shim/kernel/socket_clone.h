/* A second socket that behaves like a given one towards every connection it will accept. */
#pragma once
#include "shim/kernel/socket.h"

/* What of a socket is not as in a new one: found by its first clone, for the others. Starts as
 * zeros.
 */
struct socket_difference {
	bool known;
	uint64_t options[2]; /* a bit each of those looked at */
};

/* Creates a non-blocking, close-on-exec TCP socket with the options of like, SO_REUSEPORT, bound to
 * the same address. like is bound, listening or not, and has SO_REUSEPORT set by now.
 * Returns the descriptor; -errno where the kernel refuses a step: then nothing is left behind. */
int socket_clone(int like, struct socket_difference *difference);
