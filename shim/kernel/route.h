/* Which way a packet to an address would leave, and whether any of that changed.
 *
 * Asked over rtnetlink where that is allowed, else by connecting a UDP socket, which sends nothing
 * but makes the kernel look up the route and choose the source address. */
#pragma once
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

struct route_query {
	uint8_t family;     /* AF_INET or AF_INET6 */
	uint8_t remote[16]; /* network order, IPv4 in the first 4 */
	uint8_t local[16];  /* the source the application bound; all zero: the kernel chooses */
	uint32_t bound_to;  /* SO_BINDTODEVICE or an IPv6 scope; 0: none */
	uint32_t mark;      /* SO_MARK */
};

struct route_answer {
	uint32_t ifindex;  /* output interface; 0: not known */
	uint8_t local[16]; /* source address the kernel would use */
	bool is_local;     /* the destination is this host: no NIC is involved */
};

/* A socket to ask with, close-on-exec: NETLINK_ROUTE. Returns it or -errno, which route_lookup()
 * takes as "ask by UDP". */
int route_open(void);

/* Returns 0, or -errno: -ENETUNREACH and the like as connect() would, -EOPNOTSUPP where only
 * netlink could tell (a mark, which needs a privilege on a socket) and it is refused.
 * Not for concurrent use of one descriptor: answers would mix. */
int route_lookup(int fd, const struct route_query *query, struct route_answer *answer);

/* Notices changes of links, addresses, routes and rules, and of channels and RSS where the kernel
 * says so (ethtool netlink). */
struct route_watch {
	int route;   /* NETLINK_ROUTE, non-blocking; or -errno */
	int ethtool; /* NETLINK_GENERIC in ethtool's monitor group, non-blocking; or -errno */
};

/* Returns 0 if at least one of them works, else -errno of the first. */
int route_watch_open(struct route_watch *watch);
void route_watch_close(struct route_watch *watch);

/* Drains what a descriptor of a watch holds, without blocking. True if anything changed since the
 * last call; messages lost to an overflow (ENOBUFS) count as a change. */
bool route_changed(int fd);
