#include "shim/connect/pin.h"
#include "shim/kernel/socket.h"
#include "shim/kernel/sys.h"
#include <errno.h>
#include <netinet/in.h>

bool pin_supported(int spare)
{
	int fd = (int)sys(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool supported;

	/* An application without a descriptor left says nothing of the kernel. */
	if ((fd == -EMFILE || fd == -ENFILE) && spare >= 0) {
		supported = !pin_port(spare, 40000) && pin_has_range(spare);
		pin_release(spare);
		return supported;
	}
	if (fd == -EAFNOSUPPORT)
		fd = (int)sys(SYS_socket, AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	supported = !pin_port(fd, 40000) && pin_has_range(fd);
	sys(SYS_close, fd);
	return supported;
}

int pin_port(int fd, uint16_t port)
{
	uint32_t range = (uint32_t)port << 16 | port;

	return socket_set(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE_OPTION, &range, sizeof(range));
}

void pin_release(int fd)
{
	uint32_t none = 0;

	socket_set(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE_OPTION, &none, sizeof(none));
}

bool pin_has_range(int fd)
{
	return socket_get_int(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE_OPTION, 0) != 0;
}
