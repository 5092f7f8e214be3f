/* Sockets that came without our seeing what was done with them: inherited, received in a message,
 * made or bound inside another library. */
#pragma once
#include "shim/process/fd_table.h"

/* Asks the kernel, and notes it; for a descriptor that is unknown, or a socket that is marked
 * SOCKET_UNSEEN. Returns its word: FD_SOCKET with what could be found out, FD_PLAIN for all that is
 * no TCP socket, FD_UNKNOWN for one that listens. */
struct fd_word unseen_look(int fd, struct fd_word word);
