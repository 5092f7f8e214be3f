/* A second socket that behaves like a given one towards every connection it will accept. */
#pragma once
#include "shim/kernel/socket.h"

/* Creates a non-blocking, close-on-exec TCP socket with the options of like, SO_REUSEPORT, bound to
 * the same address. like is bound, listening or not, and has SO_REUSEPORT set by now.
 * Returns the descriptor; -errno where the kernel refuses a step: then nothing is left behind. */
int socket_clone(int like);
