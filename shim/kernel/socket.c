#include "shim/kernel/socket.h"
#include "shim/kernel/sys.h"
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/stat.h>

int socket_get(int fd, int level, int name, void *value, socklen_t *length)
{
	return (int)sys(SYS_getsockopt, fd, level, name, value, length);
}

int socket_set(int fd, int level, int name, const void *value, socklen_t length)
{
	return (int)sys(SYS_setsockopt, fd, level, name, value, length);
}

int socket_get_int(int fd, int level, int name, int fallback)
{
	int value = 0;
	socklen_t length = sizeof(value);

	return socket_get(fd, level, name, &value, &length) < 0 ? fallback : value;
}

int socket_set_int(int fd, int level, int name, int value)
{
	return socket_set(fd, level, name, &value, sizeof(value));
}

uint16_t socket_port(const struct socket_address *address)
{
	/* The port stands at the same place in both families. */
	const struct sockaddr_in *in = (const struct sockaddr_in *)&address->storage;

	return in->sin_family == AF_INET || in->sin_family == AF_INET6 ? ntohs(in->sin_port) : 0;
}

bool socket_address_equal(const struct socket_address *a, const struct socket_address *b)
{
	return a->length == b->length && a->length <= sizeof(a->storage) &&
	       !memcmp(&a->storage, &b->storage, a->length);
}

int socket_local(int fd, struct socket_address *address)
{
	*address = (struct socket_address){.length = sizeof(address->storage)};
	return (int)sys(SYS_getsockname, fd, &address->storage, &address->length);
}

bool socket_place_equal(const struct socket_place *a, const struct socket_place *b)
{
	return socket_address_equal(&a->address, &b->address) && a->net == b->net &&
	       a->device == b->device;
}

/* Before Linux 5.14 the name space itself tells, to who has CAP_NET_ADMIN in it. */
static uint64_t net_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t length = sizeof(cookie);
	struct stat status;

	if (!socket_get(fd, SOL_SOCKET, SO_NETNS_COOKIE_OPTION, &cookie, &length))
		return cookie;
	int net = (int)sys(SYS_ioctl, fd, SIOCGSKNS);
	if (net < 0)
		return 0;
	if (!sys(SYS_fstat, net, &status))
		cookie = status.st_ino;
	sys(SYS_close, net);
	return cookie;
}

int socket_place(int fd, struct socket_place *place)
{
	int device = socket_get_int(fd, SOL_SOCKET, SO_BINDTOIFINDEX_OPTION, 0);

	place->device = device > 0 ? (uint32_t)device : 0;
	place->net = net_of(fd);
	return socket_local(fd, &place->address);
}

bool socket_is_elsewhere(int fd)
{
	int here = (int)sys(SYS_socket, socket_get_int(fd, SOL_SOCKET, SO_DOMAIN, AF_INET),
			    SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);

	if (here < 0)
		return false;
	bool elsewhere = net_of(fd) != net_of(here);
	sys(SYS_close, here);
	return elsewhere;
}

bool socket_is_tcp(int fd)
{
	int domain = socket_get_int(fd, SOL_SOCKET, SO_DOMAIN, -1);

	return (domain == AF_INET || domain == AF_INET6) &&
	       socket_get_int(fd, SOL_SOCKET, SO_PROTOCOL, -1) == IPPROTO_TCP;
}

bool socket_is_listening(int fd)
{
	return socket_get_int(fd, SOL_SOCKET, SO_ACCEPTCONN, 0) == 1;
}

bool socket_may_listen(int fd)
{
	struct tcp_info info = {0};
	socklen_t length = sizeof(info.tcpi_state);

	if (!socket_is_tcp(fd) || socket_get(fd, IPPROTO_TCP, TCP_INFO, &info, &length))
		return false;
	return info.tcpi_state == TCP_LISTEN || info.tcpi_state == TCP_CLOSE;
}

uint64_t socket_cookie(int fd)
{
	uint64_t cookie = 0;
	socklen_t length = sizeof(cookie);

	return socket_get(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length) < 0 ? 0 : cookie;
}

int socket_incoming_cpu(int fd)
{
	return socket_get_int(fd, SOL_SOCKET, SO_INCOMING_CPU, -1);
}

/* The kernel keeps the interface of the SYN where a datagram socket keeps its multicast interface
 * (tcp_v4_syn_recv_sock, tcp_v6_syn_recv_sock). Of IPv6 sockets it is read back as such; of IPv4
 * ones only beside the addresses that IP_PKTINFO asks for. */
static uint32_t interface_of_ipv4(int fd)
{
	char packet[CMSG_SPACE(sizeof(struct in_pktinfo))];
	struct in_pktinfo info = {.ipi_ifindex = 0};
	struct cmsghdr header;
	socklen_t length = sizeof(packet);
	int wanted = socket_get_int(fd, IPPROTO_IP, IP_PKTINFO, -1);

	if (wanted < 0 || (!wanted && socket_set_int(fd, IPPROTO_IP, IP_PKTINFO, 1)))
		return 0;
	int error = socket_get(fd, IPPROTO_IP, IP_PKTOPTIONS, packet, &length);
	if (!wanted)
		socket_set_int(fd, IPPROTO_IP, IP_PKTINFO, 0);
	if (error || length < CMSG_LEN(sizeof(info)))
		return 0;
	memcpy(&header, packet, sizeof(header));
	if (header.cmsg_type == IP_PKTINFO)
		memcpy(&info, packet + CMSG_LEN(0), sizeof(info));
	return info.ipi_ifindex > 0 ? (uint32_t)info.ipi_ifindex : 0;
}

uint32_t socket_interface(int fd)
{
	int index = socket_get_int(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, -1);

	return index >= 0 ? (uint32_t)index : interface_of_ipv4(fd);
}

int socket_owner(int fd)
{
	struct stat status;
	long ret = sys(SYS_fstat, fd, &status);

	return ret < 0 ? (int)ret : (int)status.st_uid;
}

bool socket_is_blocking(int fd)
{
	long flags = sys(SYS_fcntl, fd, F_GETFL);

	return flags >= 0 && !(flags & O_NONBLOCK);
}
