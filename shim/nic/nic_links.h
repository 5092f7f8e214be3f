/* The interfaces of a network namespace and how they are stacked. */
#pragma once
#include "shim/nic/nic_view.h"

#define NIC_LINKS_MAX 256 /* interfaces looked at; a host of containers has many veths */

struct nic_link {
	char name[IF_NAMESIZE];
	uint32_t ifindex;
	uint32_t below;  /* the interface this one sits on (VLAN, macvlan, tunnel); 0: none */
	uint32_t master; /* the bond, bridge or failover device it is a member of; 0: none */
	uint32_t active_member; /* of a bond that uses one at a time */
	uint8_t kind;           /* enum nic_kind; NIC_VIRTUAL where the kernel did not say */
	bool up;
	bool elsewhere; /* `below` is a number of another namespace */
};

struct nic_links {
	uint16_t count;
	uint16_t missed;
	struct nic_link link[NIC_LINKS_MAX];
};

/* Adds what the payload of an RTM_NEWLINK says. Pure; the bytes may be damaged. */
void link_answer(struct nic_links *links, const uint8_t *payload, size_t len);

/* The interface of a line of /proc/net/dev; false: a heading. Pure. */
bool link_line(const char *line, char name[IF_NAMESIZE]);

/* "veth", "bond" and the other words of IFLA_INFO_KIND, and the driver names of ethtool. */
enum nic_kind link_kind(const char *word);

/* Reads all interfaces, over rtnetlink or else from /proc/self/net/dev, which has only their names.
 * Returns how many, or -errno. */
int nic_links_read(struct nic_links *links, const struct nic_sources *sources);
