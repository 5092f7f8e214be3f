/* Lines of /proc/net/nf_conntrack: whether the source address of a connection is rewritten. What
 * the NIC then hashes is not what the socket says. Pure. */
#pragma once
#include <netinet/in.h>
#include <stdbool.h>

struct conntrack_snat {
	int family;                  /* AF_INET or AF_INET6 */
	char from[INET6_ADDRSTRLEN]; /* the address the socket has */
	char to[INET6_ADDRSTRLEN];   /* the one its packets have outside */
	char remote[INET6_ADDRSTRLEN];
};

/* True for a TCP connection whose replies go to another address than it came from. */
bool conntrack_line_snat(const char *line, struct conntrack_snat *snat);
