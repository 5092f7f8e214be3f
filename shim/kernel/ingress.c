#include "shim/kernel/ingress.h"
#include "shim/kernel/socket.h"
#include <netinet/in.h>
#include <string.h>

/* The name that came before RFC 3542 is the one that getsockopt() still knows. */
#define PACKET_OPTIONS_6 6 /* IPV6_2292PKTOPTIONS */

/* A TCP socket keeps where it came from (inet_sk mc_index, mcast_oif of IPv6), and tells while it
 * is asked to tell the same of packets: so that is switched on for a moment. A stream never
 * delivers such a message by itself. */
static int ask(int fd, int level, int receive, int options, void *message, socklen_t *room)
{
	int before = socket_get_int(fd, level, receive, 1);
	int ret;

	if (!before && (ret = socket_set_int(fd, level, receive, 1)))
		return ret;
	ret = socket_get(fd, level, options, message, room);
	if (!before)
		socket_set_int(fd, level, receive, 0);
	return ret;
}

static int from_ip(int fd)
{
	char message[CMSG_SPACE(sizeof(struct in_pktinfo)) * 4] __attribute__((aligned(8))) = {0};
	socklen_t room = sizeof(message);
	struct in_pktinfo info;
	int ret = ask(fd, IPPROTO_IP, IP_PKTINFO, IP_PKTOPTIONS, message, &room);

	if (ret || room < CMSG_LEN(sizeof(info)))
		return ret;
	memcpy(&info, CMSG_DATA((struct cmsghdr *)message), sizeof(info));
	return info.ipi_ifindex;
}

static int from_ipv6(int fd)
{
	char message[CMSG_SPACE(sizeof(struct in6_pktinfo)) * 4] __attribute__((aligned(8))) = {0};
	socklen_t room = sizeof(message);
	struct in6_pktinfo info;
	int ret = ask(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, PACKET_OPTIONS_6, message, &room);

	if (ret || room < CMSG_LEN(sizeof(info)))
		return ret;
	memcpy(&info, CMSG_DATA((struct cmsghdr *)message), sizeof(info));
	return (int)info.ipi6_ifindex;
}

int ingress_of(int fd)
{
	int domain = socket_get_int(fd, SOL_SOCKET, SO_DOMAIN, -1);

	return domain == AF_INET6 ? from_ipv6(fd) : from_ip(fd);
}
