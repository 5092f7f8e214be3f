#include "shim/connect/destination.h"
#include <stddef.h>
#include <string.h>

static bool is_usable_ipv4(const uint8_t address[4])
{
	/* 0.0.0.0 is loopback to connect(); from 224 on there is no TCP. */
	return address[0] != 0 && address[0] != 127 && address[0] < 224;
}

static bool is_usable_ipv6(const struct in6_addr *address)
{
	return !IN6_IS_ADDR_LOOPBACK(address) && !IN6_IS_ADDR_UNSPECIFIED(address) &&
	       !IN6_IS_ADDR_MULTICAST(address);
}

bool destination_parse(const struct sockaddr *address, socklen_t length, struct destination *to)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;

	if (!address || length < sizeof(*in))
		return false;
	memset(to, 0, sizeof(*to));
	to->flow.family = AF_INET;
	if (address->sa_family == AF_INET) {
		to->flow.remote_port = ntohs(in->sin_port);
		memcpy(to->flow.remote, &in->sin_addr, 4);
		return is_usable_ipv4(to->flow.remote);
	}
	/* The scope may be missing: RFC 2133 had none. */
	if (address->sa_family != AF_INET6 || length < offsetof(struct sockaddr_in6, sin6_scope_id))
		return false;
	to->flow.remote_port = ntohs(in6->sin6_port);
	if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
		memcpy(to->flow.remote, in6->sin6_addr.s6_addr + 12, 4);
		return is_usable_ipv4(to->flow.remote);
	}
	to->flow.family = AF_INET6;
	memcpy(to->flow.remote, &in6->sin6_addr, 16);
	if (IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr) && length >= sizeof(*in6))
		to->interface = in6->sin6_scope_id;
	return is_usable_ipv6(&in6->sin6_addr);
}

uint16_t destination_local(const struct sockaddr *address, uint8_t local[16])
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;

	memset(local, 0, 16);
	if (address->sa_family == AF_INET) {
		memcpy(local, &in->sin_addr, 4);
		return ntohs(in->sin_port);
	}
	if (address->sa_family != AF_INET6)
		return 0;
	if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
		memcpy(local, in6->sin6_addr.s6_addr + 12, 4);
	else
		memcpy(local, &in6->sin6_addr, 16);
	return ntohs(in6->sin6_port);
}
