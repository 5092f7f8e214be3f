/* A route without netlink: a UDP socket that is connected makes the kernel look up the route and
 * choose a source address, and sends nothing. The interface is then that of the address. */
#include "shim/kernel/procfs.h"
#include "shim/kernel/route.h"
#include "shim/kernel/scratch.h"
#include "shim/kernel/sys.h"
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* Linux 5.0; older headers do not have it. */
#define SO_BINDTOIFINDEX_OPTION 62

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static socklen_t address_fill(union address *address, uint8_t family, const uint8_t bytes[16],
			      uint16_t port, uint32_t scope)
{
	memset(address, 0, sizeof(*address));
	address->any.sa_family = family;
	if (family == AF_INET) {
		address->in.sin_port = htons(port);
		memcpy(&address->in.sin_addr, bytes, 4);
		return sizeof(address->in);
	}
	address->in6.sin6_port = htons(port);
	memcpy(&address->in6.sin6_addr, bytes, 16);
	if (IN6_IS_ADDR_LINKLOCAL(&address->in6.sin6_addr))
		address->in6.sin6_scope_id = scope;
	return sizeof(address->in6);
}

/* An address that can be bound is one of this host. */
static bool is_local_address(uint8_t family, const uint8_t bytes[16], uint32_t scope)
{
	long fd = sys(SYS_socket, family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	union address address;
	socklen_t len = address_fill(&address, family, bytes, 0, scope);
	bool local = fd >= 0 && sys(SYS_bind, fd, &address, len) == 0;

	if (fd >= 0)
		sys(SYS_close, fd);
	return local;
}

static uint32_t find_ipv4(int fd, const uint8_t bytes[16], struct ifreq *list, int count)
{
	for (int i = 0; i < count; i++) {
		struct sockaddr_in found;

		memcpy(&found, &list[i].ifr_addr, sizeof(found));
		if (memcmp(&found.sin_addr, bytes, 4))
			continue;
		if (sys(SYS_ioctl, fd, SIOCGIFINDEX, &list[i]) < 0)
			return 0;
		return (uint32_t)list[i].ifr_ifindex;
	}
	return 0;
}

static uint32_t interface_of_ipv4(int fd, const uint8_t bytes[16])
{
	struct ifconf all = {.ifc_req = NULL}; /* asks for the size */
	uint32_t found = 0;

	if (sys(SYS_ioctl, fd, SIOCGIFCONF, &all) < 0 || all.ifc_len <= 0)
		return 0;
	size_t size = (size_t)all.ifc_len;
	all.ifc_req = scratch_take(size);
	if (!all.ifc_req)
		return 0;
	if (sys(SYS_ioctl, fd, SIOCGIFCONF, &all) == 0)
		found = find_ipv4(fd, bytes, all.ifc_req, all.ifc_len / (int)sizeof(struct ifreq));
	scratch_return(all.ifc_req, size);
	return found;
}

static int hex_value(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

uint32_t route_inet6_line(const char *line, const uint8_t address[16])
{
	uint32_t index = 0;

	for (int i = 0; i < 16; i++) {
		int high = hex_value(line[2 * i]);
		int low = high < 0 ? -1 : hex_value(line[2 * i + 1]);

		if (low < 0 || (high << 4 | low) != address[i])
			return 0;
	}
	line += 32;
	if (*line++ != ' ')
		return 0;
	for (int digits = 0; hex_value(*line) >= 0 && digits < 8; digits++)
		index = index << 4 | (uint32_t)hex_value(*line++);
	return *line == ' ' ? index : 0;
}

struct inet6_search {
	const uint8_t *address;
	uint32_t ifindex;
	size_t len;
	char line[64];
};

static void inet6_feed(void *context, const char *text, size_t len)
{
	struct inet6_search *search = context;

	for (size_t i = 0; i < len && !search->ifindex; i++) {
		if (text[i] != '\n') {
			if (search->len < sizeof(search->line) - 1)
				search->line[search->len++] = text[i];
			continue;
		}
		search->line[search->len] = '\0';
		search->ifindex = route_inet6_line(search->line, search->address);
		search->len = 0;
	}
}

static int probe(int fd, const struct route_query *query, struct route_answer *answer)
{
	/* Any port will do: nothing is sent. */
	const uint16_t port = query->remote_port ? query->remote_port : 9;
	const int tos = query->tos;
	union address address;
	socklen_t len;
	long error = 0;

	if (query->mark)
		error = sys(SYS_setsockopt, fd, SOL_SOCKET, SO_MARK, &query->mark,
			    sizeof(query->mark));
	if (error)
		return -EOPNOTSUPP;
	if (query->tos && query->family == AF_INET)
		error = sys(SYS_setsockopt, fd, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
	else if (query->tos)
		error = sys(SYS_setsockopt, fd, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof(tos));
	if (!error && query->bound_to)
		error = sys(SYS_setsockopt, fd, SOL_SOCKET, SO_BINDTOIFINDEX_OPTION,
			    &query->bound_to, sizeof(query->bound_to));
	len = address_fill(&address, query->family, query->local, 0, query->bound_to);
	if (!error && memcmp(query->local, (uint8_t[16]){0}, 16))
		error = sys(SYS_bind, fd, &address, len);
	len = address_fill(&address, query->family, query->remote, port, query->bound_to);
	if (!error)
		error = sys(SYS_connect, fd, &address, len);
	if (!error)
		error = sys(SYS_getsockname, fd, &address, &len);
	if (error)
		return (int)error;
	if (query->family == AF_INET)
		memcpy(answer->local, &address.in.sin_addr, 4);
	else
		memcpy(answer->local, &address.in6.sin6_addr, 16);
	return 0;
}

int route_probe(const struct route_asker *asker, const struct route_query *query,
		struct route_answer *answer)
{
	struct inet6_search search = {.address = answer->local};
	int fd = (int)sys(SYS_socket, query->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int error;

	memset(answer, 0, sizeof(*answer));
	if (fd < 0)
		return fd;
	error = probe(fd, query, answer);
	if (!error) {
		answer->is_local = is_local_address(query->family, query->remote, query->bound_to);
		answer->ifindex = query->bound_to;
	}
	if (!error && !answer->ifindex && query->family == AF_INET) {
		answer->ifindex = interface_of_ipv4(fd, answer->local);
	} else if (!error && !answer->ifindex) {
		procfs_feed(asker->proc, "self/net/if_inet6", inet6_feed, &search);
		answer->ifindex = search.ifindex;
	}
	sys(SYS_close, fd);
	return error;
}
