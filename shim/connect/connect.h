/* connect() on a port whose replies come back to the calling thread's CPU. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

typedef int (*connect_fn)(int fd, const struct sockaddr *address, socklen_t length);

/* The call on a TCP socket, whose word in the descriptor table has these SOCKET_* bits. Result and
 * errno are those of `real`; the socket is afterwards as `real` alone would have left it. */
int connect_steered(int fd, const struct sockaddr *address, socklen_t length, uint32_t bits,
		    connect_fn real);
