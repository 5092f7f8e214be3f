#include "shim/nic/nic_links.h"
#include "shim/kernel/netlink.h"
#include "shim/kernel/procfs.h"
#include "shim/kernel/sys.h"
#include "shim/nic/nic_sources.h"
#include "shim/nic/nic_work.h"
#include <errno.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/ioctl.h>

static const struct {
	const char *word;
	enum nic_kind kind;
} kind_words[] = {
	{"veth", NIC_VETH},
	{"netkit", NIC_VETH},
	{"bond", NIC_BOND},
	{"bonding", NIC_BOND},
	{"team", NIC_BOND},
	{"bridge", NIC_BRIDGE},
	{"openvswitch", NIC_BRIDGE},
	{"vrf", NIC_VRF},
	{"vlan", NIC_VLAN},
	{"802.1Q VLAN Support", NIC_VLAN},
	{"macvlan", NIC_MACVLAN},
	{"macvtap", NIC_MACVLAN},
	{"ipvlan", NIC_MACVLAN},
	{"ipvtap", NIC_MACVLAN},
	{"tun", NIC_TUN},
	{"vxlan", NIC_TUNNEL},
	{"geneve", NIC_TUNNEL},
	{"gre", NIC_TUNNEL},
	{"gretap", NIC_TUNNEL},
	{"ip6gre", NIC_TUNNEL},
	{"ip6gretap", NIC_TUNNEL},
	{"erspan", NIC_TUNNEL},
	{"ip6erspan", NIC_TUNNEL},
	{"ipip", NIC_TUNNEL},
	{"sit", NIC_TUNNEL},
	{"ip6tnl", NIC_TUNNEL},
	{"vti", NIC_TUNNEL},
	{"vti6", NIC_TUNNEL},
	{"xfrm", NIC_TUNNEL},
	{"wireguard", NIC_TUNNEL},
	{"bareudp", NIC_TUNNEL},
	{"gtp", NIC_TUNNEL},
	{"amt", NIC_TUNNEL},
};

enum nic_kind link_kind(const char *word)
{
	for (size_t i = 0; i < sizeof(kind_words) / sizeof(kind_words[0]); i++)
		if (!strcmp(word, kind_words[i].word))
			return kind_words[i].kind;
	return NIC_VIRTUAL;
}

static bool is_local(const struct nic_link *link)
{
	return link->kind == NIC_VETH || link->kind == NIC_TUN || link->kind == NIC_TUNNEL ||
	       link->kind == NIC_LOOPBACK;
}

/* A host of containers has more links than there is room for, and a NIC that was plugged in late is
 * the last of them. */
static void add_link(struct nic_links *links, const struct nic_link *link)
{
	unsigned at = NIC_LINKS_MAX;

	if (links->count < NIC_LINKS_MAX) {
		links->link[links->count++] = *link;
		return;
	}
	links->missed++;
	while (!is_local(link) && at-- > 0) {
		if (!is_local(&links->link[at]))
			continue;
		links->link[at] = *link;
		return;
	}
}

/* IFLA_INFO_DATA of a bond. Only in active-backup mode does one member receive alone. */
static uint32_t bond_active(struct nl_attrs attrs)
{
	const uint8_t active_backup = 1;
	bool alone = false;
	uint32_t active = 0;
	struct nl_attr attr;

	while (nl_next(&attrs, &attr)) {
		if (attr.type == IFLA_BOND_MODE && attr.len >= 1)
			alone = attr.value[0] == active_backup;
		else if (attr.type == IFLA_BOND_ACTIVE_SLAVE)
			active = nl_u32(&attr);
	}
	return alone ? active : 0;
}

static void link_info(struct nic_link *link, struct nl_attrs attrs)
{
	struct nl_attr attr;
	char word[24];

	while (nl_next(&attrs, &attr)) {
		if (attr.type == IFLA_INFO_KIND) {
			nl_text(&attr, word, sizeof(word));
			link->kind = (uint8_t)link_kind(word);
		} else if (attr.type == IFLA_INFO_DATA && link->kind == NIC_BOND) {
			link->active_member = bond_active(nl_nested(&attr));
		}
	}
}

void link_answer(struct nic_links *links, const uint8_t *payload, size_t len)
{
	struct nic_link link = {0};
	struct ifinfomsg info;
	struct nl_attrs attrs;
	struct nl_attr attr;

	if (len < NLMSG_ALIGN(sizeof(info)))
		return;
	memcpy(&info, payload, sizeof(info));
	if (info.ifi_index <= 0)
		return;
	link.ifindex = (uint32_t)info.ifi_index;
	link.up = info.ifi_flags & IFF_UP;
	attrs = (struct nl_attrs){payload + NLMSG_ALIGN(sizeof(info)),
				  len - NLMSG_ALIGN(sizeof(info))};
	while (nl_next(&attrs, &attr)) {
		switch (attr.type) {
		case IFLA_IFNAME:
			nl_text(&attr, link.name, sizeof(link.name));
			break;
		case IFLA_LINK:
			link.below = nl_u32(&attr);
			break;
		case IFLA_LINK_NETNSID:
			link.elsewhere = true;
			break;
		case IFLA_MASTER:
			link.master = nl_u32(&attr);
			break;
		case IFLA_LINKINFO:
			link_info(&link, nl_nested(&attr));
			break;
		}
	}
	if (info.ifi_flags & IFF_LOOPBACK)
		link.kind = NIC_LOOPBACK;
	if (link.below == link.ifindex)
		link.below = 0;
	if (link.name[0])
		add_link(links, &link);
}

bool link_line(const char *line, char name[IF_NAMESIZE])
{
	size_t len = 0;

	while (*line == ' ')
		line++;
	while (line[len] && line[len] != ':' && line[len] != ' ' && line[len] != '|')
		len++;
	if (!len || len >= IF_NAMESIZE || line[len] != ':')
		return false;
	memcpy(name, line, len);
	name[len] = '\0';
	return true;
}

static void on_link(void *context, uint16_t type, const uint8_t *payload, size_t len)
{
	if (type == RTM_NEWLINK)
		link_answer(context, payload, len);
}

static int links_by_netlink(struct nic_links *links, const struct nic_sources *sources)
{
	struct ifinfomsg info = {.ifi_family = AF_UNSPEC};
	struct nic_work *work = sources->work;
	struct nl_request request;

	nl_request_init(&request, RTM_GETLINK, NLM_F_DUMP, &info, sizeof(info));
	/* Statistics are most of an answer, and made by asking every CPU. */
	nl_request_add_u32(&request, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	return nl_exchange(sources->route, &request,
			   (struct nl_buffer){work->answer, sizeof(work->answer)}, on_link, links);
}

struct dev_lines {
	struct nic_links *links;
	int ioctl;
	size_t len;
	char line[32]; /* the name stands at its start */
};

static void dev_line(struct dev_lines *lines)
{
	struct ifreq request = {0};
	struct nic_link link = {0};

	lines->line[lines->len] = '\0';
	lines->len = 0;
	if (!link_line(lines->line, request.ifr_name) ||
	    sys(SYS_ioctl, lines->ioctl, SIOCGIFINDEX, &request) < 0)
		return;
	memcpy(link.name, request.ifr_name, sizeof(link.name));
	link.ifindex = (uint32_t)request.ifr_ifindex;
	if (sys(SYS_ioctl, lines->ioctl, SIOCGIFFLAGS, &request) >= 0) {
		link.up = request.ifr_flags & IFF_UP;
		if (request.ifr_flags & IFF_LOOPBACK)
			link.kind = NIC_LOOPBACK;
	}
	add_link(lines->links, &link);
}

static void dev_feed(void *context, const char *text, size_t len)
{
	struct dev_lines *lines = context;

	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\n')
			dev_line(lines);
		else if (lines->len < sizeof(lines->line) - 1)
			lines->line[lines->len++] = text[i];
	}
}

int nic_links_read(struct nic_links *links, const struct nic_sources *sources)
{
	struct dev_lines lines = {.links = links, .ioctl = sources->ioctl};
	int error;

	links->count = 0;
	links->missed = 0;
	if (!links_by_netlink(links, sources))
		return links->count;
	links->count = 0;
	links->missed = 0;
	if (sources->ioctl < 0)
		return sources->ioctl;
	error = procfs_feed(sources->proc, "self/net/dev", dev_feed, &lines);
	return error ? error : links->count;
}
