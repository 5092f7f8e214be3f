#include "shim/kernel/reuseport.h"
#include "shim/kernel/sys.h"
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>

int reuseport_attach(int fd, struct sock_filter *program, unsigned length)
{
	struct sock_fprog filter = {.len = (unsigned short)length, .filter = program};

	return socket_set(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &filter, sizeof(filter));
}

int reuseport_try(void)
{
	struct sock_filter any[] = {{.code = BPF_RET | BPF_K}};
	int fd = (int)sys(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return fd;
	int ret = socket_set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (!ret)
		ret = reuseport_attach(fd, any, 1);
	sys(SYS_close, fd);
	return ret;
}

struct diag_request {
	struct nlmsghdr header;
	struct inet_diag_req_v2 diag;
};

static int send_request(int netlink, uint8_t family)
{
	struct diag_request request = {
		.header = {.nlmsg_len = sizeof(request),
			   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.diag = {.sdiag_family = family,
			 .sdiag_protocol = IPPROTO_TCP,
			 .idiag_states = 1 << TCP_LISTEN},
	};

	return (int)sys(SYS_sendto, netlink, &request, sizeof(request), 0, NULL, 0);
}

static bool is_on(const struct inet_diag_msg *socket, const struct socket_address *address)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)&address->storage;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address->storage;

	if (socket->idiag_family != address->any.sa_family ||
	    socket->id.idiag_sport != in->sin_port)
		return false;
	return socket->idiag_family == AF_INET
		       ? socket->id.idiag_src[0] == in->sin_addr.s_addr
		       : !memcmp(socket->id.idiag_src, &in6->sin6_addr, sizeof(in6->sin6_addr));
}

/* Counts in one datagram of the dump. Returns 1 at its end, 0 if more follow, -errno. */
static int count_in(const char *buffer, long length, const struct socket_address *address,
		    int *count)
{
	while (length >= (long)sizeof(struct nlmsghdr)) {
		const struct nlmsghdr *header = (const struct nlmsghdr *)buffer;
		const struct inet_diag_msg *socket = NLMSG_DATA(header);
		long step = NLMSG_ALIGN(header->nlmsg_len);

		if (header->nlmsg_len < sizeof(*header) || header->nlmsg_len > length)
			return -EPROTO;
		if (header->nlmsg_type == NLMSG_DONE)
			return 1;
		if (header->nlmsg_type == NLMSG_ERROR)
			return -EOPNOTSUPP;
		if (header->nlmsg_len >= NLMSG_LENGTH(sizeof(*socket)) && is_on(socket, address))
			++*count;
		buffer += step;
		length -= step;
	}
	return 0;
}

int reuseport_count(const struct socket_address *address)
{
	char buffer[8192] __attribute__((aligned(8)));
	int netlink = (int)sys(SYS_socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	int count = 0, ret = netlink;

	if (netlink < 0)
		return netlink;
	ret = send_request(netlink, (uint8_t)address->any.sa_family);
	while (ret >= 0) {
		long length = sys(SYS_recvfrom, netlink, buffer, sizeof(buffer), MSG_DONTWAIT);
		ret = length < 0 ? (int)length : count_in(buffer, length, address, &count);
		if (ret)
			break;
	}
	sys(SYS_close, netlink);
	return ret < 0 ? ret : count;
}
