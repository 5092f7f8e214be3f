#include "shim/connect/unseen.h"
#include "shim/connect/destination.h"
#include "shim/connect/pin.h"
#include "shim/kernel/socket.h"
#include "shim/process/runtime.h"
#include <string.h>

static uint32_t bits_of(int fd)
{
	static const uint8_t any[16];
	struct socket_address bound;
	uint8_t local[16];
	uint32_t bits = SOCKET_TOS; /* few hosts want to know */

	/* One that is connected has a port, too. */
	if (socket_local(fd, &bound) || destination_local(&bound.any, local))
		bits |= SOCKET_PORT;
	else if (memcmp(local, any, sizeof(any)))
		bits |= SOCKET_ADDRESS;
	if (pin_has_range(fd))
		bits |= SOCKET_RANGE;
	if (socket_get_int(fd, SOL_SOCKET, SO_MARK, 0))
		bits |= SOCKET_MARK;
	if (socket_get_int(fd, SOL_SOCKET, SO_BINDTOIFINDEX_OPTION, 0))
		bits |= SOCKET_DEVICE;
	return bits;
}

struct fd_word unseen_look(int fd, struct fd_word word)
{
	struct fd_word seen = {.kind = FD_PLAIN};

	if (fd < 0 || socket_is_listening(fd))
		return word;
	if (socket_is_tcp(fd)) {
		runtime_discover();
		seen.kind = FD_SOCKET;
		seen.value = bits_of(fd) | (word.value & SOCKET_UNIQUE);
	}
	return fd_swap(fd, word, seen.kind, seen.value) ? seen : word;
}
