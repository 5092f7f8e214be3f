/* Which way a packet to an address would leave, and whether any of that changed.
 *
 * Asked over rtnetlink where that is allowed, else by connecting a UDP socket, which sends nothing
 * but makes the kernel look up the route and choose the source address. */
#pragma once
#include "shim/kernel/netlink.h"
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct route_query {
	uint8_t family;     /* AF_INET or AF_INET6 */
	uint8_t remote[16]; /* network order, IPv4 in the first 4 */
	uint8_t local[16];  /* the source the application bound; all zero: the kernel chooses */
	uint32_t bound_to;  /* SO_BINDTODEVICE or an IPv6 scope; 0: none */
	uint32_t mark;      /* SO_MARK */
	/* Where rules go by them; each makes another question of it. */
	uint16_t remote_port; /* 0: not said */
	uint8_t tos;          /* IP_TOS, IPV6_TCLASS */
};

struct route_answer {
	uint32_t ifindex;  /* output interface; 0: not known */
	uint8_t local[16]; /* source address the kernel would use */
	bool is_local;     /* the destination is this host: no NIC is involved */
	int error;         /* 0, or why there is no way there: the rest is 0 then */
};

/* What to ask through; either may be -errno. */
struct route_asker {
	int netlink; /* NETLINK_ROUTE socket, of nobody else at the same time */
	int proc;    /* directory /proc: where the UDP way finds the interface of an IPv6 address */
};

/* Returns 0, or -errno, which is the answer's error too: -ENETUNREACH and the like as connect()
 * would, -EOPNOTSUPP where only netlink could tell (a mark, which needs a privilege on a socket)
 * and it is refused. */
int route_lookup(const struct route_asker *asker, const struct route_query *query,
		 struct route_answer *answer);

/* Whether asking again would lead to the same error until something changes. */
bool route_error_lasts(int error);

/* The UDP way alone. */
int route_probe(const struct route_asker *asker, const struct route_query *query,
		struct route_answer *answer);

/* Reads the payload of an RTM_NEWROUTE answer. Pure; the bytes may be damaged. Returns 0 or
 * -errno, also when the route is one that refuses (unreachable, prohibit, blackhole). */
int route_parse(const uint8_t *payload, size_t len, struct route_answer *answer);

/* The interface of an IPv6 address in the text of /proc/net/if_inet6; 0: none. Pure. */
uint32_t route_inet6_line(const char *line, const uint8_t address[16]);

/* Notices changes of links, addresses, routes and rules, and of channels and RSS where the kernel
 * says so (ethtool netlink). */
struct route_watch {
	int route;   /* NETLINK_ROUTE, non-blocking; or -errno */
	int ethtool; /* NETLINK_GENERIC in ethtool's monitor group, non-blocking; or -errno */
};

/* Returns 0 if at least one of them works, else -errno of the first. buffer: of NL_FAMILY_MAX, for
 * the time of the call. */
int route_watch_open(struct route_watch *watch, struct nl_buffer buffer);
void route_watch_close(struct route_watch *watch);

struct route_news {
	bool links, rules;
};

/* Drains what a descriptor of a watch holds, without blocking. True if anything changed since the
 * last call; what of it is added to *news, if not NULL. Messages lost to an overflow (ENOBUFS) are
 * a change of everything. */
bool route_changed(int fd, struct route_news *news);
