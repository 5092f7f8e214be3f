#include "shim/kernel/route.h"
#include "shim/kernel/netlink.h"
#include "shim/kernel/sys.h"
#include <errno.h>
#include <linux/ethtool_netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

static size_t address_len(uint8_t family)
{
	return family == AF_INET6 ? 16 : 4;
}

static bool is_any(const uint8_t address[16])
{
	static const uint8_t any[16];

	return !memcmp(address, any, sizeof(any));
}

int route_parse(const uint8_t *payload, size_t len, struct route_answer *answer)
{
	struct nl_attrs attrs;
	struct nl_attr attr;
	struct rtmsg route;

	memset(answer, 0, sizeof(*answer));
	if (len < NLMSG_ALIGN(sizeof(route)))
		return -EBADMSG;
	memcpy(&route, payload, sizeof(route));
	attrs = (struct nl_attrs){payload + NLMSG_ALIGN(sizeof(route)),
				  len - NLMSG_ALIGN(sizeof(route))};
	while (nl_next(&attrs, &attr)) {
		if (attr.type == RTA_OIF)
			answer->ifindex = nl_u32(&attr);
		else if (attr.type == RTA_PREFSRC && attr.len == address_len(route.rtm_family))
			memcpy(answer->local, attr.value, attr.len);
	}
	switch (route.rtm_type) {
	case RTN_LOCAL:
		answer->is_local = true;
		return 0;
	case RTN_UNICAST:
		return answer->ifindex ? 0 : -EBADMSG;
	case RTN_PROHIBIT:
		return -EACCES;
	case RTN_BLACKHOLE:
		return -EINVAL;
	case RTN_BROADCAST:
	case RTN_MULTICAST: /* no TCP there */
	default:
		return -ENETUNREACH;
	}
}

struct route_search {
	struct route_answer *answer;
	int error;
};

static void on_route(void *context, uint16_t type, const uint8_t *payload, size_t len)
{
	struct route_search *search = context;

	if (type == RTM_NEWROUTE)
		search->error = route_parse(payload, len, search->answer);
}

static int lookup_by_netlink(int fd, const struct route_query *query, struct route_answer *answer)
{
	size_t len = address_len(query->family);
	struct rtmsg route = {.rtm_family = query->family,
			      .rtm_dst_len = (uint8_t)(8 * len),
			      .rtm_tos = query->tos,
			      .rtm_src_len = (uint8_t)(is_any(query->local) ? 0 : 8 * len)};
	struct route_search search = {.answer = answer, .error = -EBADMSG};
	struct nl_request request;
	uint8_t buffer[2048];
	uint8_t protocol = IPPROTO_TCP;
	uint16_t port = htons(query->remote_port);
	int error;

	nl_request_init(&request, RTM_GETROUTE, 0, &route, sizeof(route));
	nl_request_add(&request, RTA_DST, query->remote, len);
	if (route.rtm_src_len)
		nl_request_add(&request, RTA_SRC, query->local, len);
	if (query->bound_to)
		nl_request_add_u32(&request, RTA_OIF, query->bound_to);
	if (query->mark)
		nl_request_add_u32(&request, RTA_MARK, query->mark);
	nl_request_add(&request, RTA_IP_PROTO, &protocol, sizeof(protocol));
	if (port)
		nl_request_add(&request, RTA_DPORT, &port, sizeof(port));
	error = nl_exchange(fd, &request, (struct nl_buffer){buffer, sizeof(buffer)}, on_route,
			    &search);
	return error ? error : search.error;
}

int route_lookup(const struct route_asker *asker, const struct route_query *query,
		 struct route_answer *answer)
{
	int error = asker->netlink;

	memset(answer, 0, sizeof(*answer));
	if (asker->netlink >= 0)
		error = lookup_by_netlink(asker->netlink, query, answer);
	/* A socket that an application's filter let us open may still be refused on use. */
	if (error == -EPERM || error == -EACCES || error == -EAFNOSUPPORT || error == -EBADF ||
	    error == -ENOTSOCK || error == -EAGAIN)
		error = route_probe(asker, query, answer);
	if (error)
		memset(answer, 0, sizeof(*answer));
	else if (!is_any(query->local))
		memcpy(answer->local, query->local, sizeof(answer->local));
	answer->error = error;
	return error;
}

bool route_error_lasts(int error)
{
	switch (-error) {
	case ENETUNREACH:
	case EHOSTUNREACH:
	case EADDRNOTAVAIL:
	case EACCES:
	case EINVAL: /* also a source that is no address of this host */
	case ENODEV:
	case EOPNOTSUPP:
		return true;
	default: /* memory, descriptors: ours, not the route's */
		return false;
	}
}

static int open_watch_of_ethtool(struct nl_buffer buffer)
{
	uint32_t group = 0;
	int fd = nl_open(NETLINK_GENERIC, 0, true);
	long error = nl_family(fd, buffer, ETHTOOL_GENL_NAME, ETHTOOL_MCGRP_MONITOR_NAME, &group);

	if (error >= 0)
		error = group ? sys(SYS_setsockopt, fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group,
				    sizeof(group))
			      : -ENOENT;
	if (error >= 0)
		return fd;
	if (fd >= 0)
		sys(SYS_close, fd);
	return (int)error;
}

int route_watch_open(struct route_watch *watch, struct nl_buffer buffer)
{
	watch->route = nl_open(NETLINK_ROUTE,
			       RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE |
				       RTMGRP_IPV4_RULE | RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE,
			       true);
	if (watch->route >= 0) {
		/* Beyond the 32 groups of a bind mask; a kernel without IPv6 has none. */
		int rules = RTNLGRP_IPV6_RULE;

		sys(SYS_setsockopt, watch->route, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &rules,
		    sizeof(rules));
	}
	watch->ethtool = open_watch_of_ethtool(buffer);
	return watch->route >= 0 || watch->ethtool >= 0 ? 0 : watch->route;
}

void route_watch_close(struct route_watch *watch)
{
	if (watch->route >= 0)
		sys(SYS_close, watch->route);
	if (watch->ethtool >= 0)
		sys(SYS_close, watch->ethtool);
	watch->route = -EBADF;
	watch->ethtool = -EBADF;
}

static void news_add(struct route_news *news, bool whole, uint16_t type)
{
	news->links |= !whole || type == RTM_NEWLINK || type == RTM_DELLINK;
	news->rules |= !whole || type == RTM_NEWRULE || type == RTM_DELRULE;
}

bool route_changed(int fd, struct route_news *news)
{
	bool changed = false;
	struct nlmsghdr head; /* what it is about is all that matters: the rest is cut off */
	long got;

	if (fd < 0)
		return false;
	/* A flood of changes must not hold the caller: what is left counts the next time. */
	for (int i = 0; i < 1024; i++) {
		got = sys(SYS_recvfrom, fd, &head, sizeof(head), MSG_DONTWAIT | MSG_TRUNC, NULL,
			  NULL);
		if (got == -EINTR)
			continue;
		if (got < 0 && got != -ENOBUFS)
			break;
		changed = true;
		if (news)
			news_add(news, got >= (long)sizeof(head), head.nlmsg_type);
	}
	return changed;
}
