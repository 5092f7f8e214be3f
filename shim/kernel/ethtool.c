#include "shim/kernel/ethtool.h"
#include "shim/kernel/sys.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

#define PRIVATE_FLAGS_MAX 32  /* what ETHTOOL_GPFLAGS can return */
#define RULES_READ_MAX    256 /* more than this is taken as "they touch TCP" */

static int ask(int fd, const char *dev, void *question)
{
	struct ifreq request = {.ifr_data = question};

	if (fd < 0)
		return fd;
	strncpy(request.ifr_name, dev, IFNAMSIZ - 1);
	return (int)sys(SYS_ioctl, fd, SIOCETHTOOL, &request);
}

static void text_copy(char *to, size_t size, const char *from, size_t from_size)
{
	size_t len = strnlen(from, from_size);

	if (len >= size)
		len = size - 1;
	memcpy(to, from, len);
	to[len] = '\0';
}

int ethtool_driver(int fd, const char *dev, char *driver, size_t driver_size, char *bus,
		   size_t bus_size)
{
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
	int error = ask(fd, dev, &info);

	text_copy(driver, driver_size, info.driver, sizeof(info.driver));
	text_copy(bus, bus_size, info.bus_info, sizeof(info.bus_info));
	return error;
}

int ethtool_channels(int fd, const char *dev, uint32_t *rx, uint32_t *tx)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
	int error = ask(fd, dev, &channels);

	*rx = error ? 0 : channels.rx_count + channels.combined_count;
	*tx = error ? 0 : channels.tx_count + channels.combined_count;
	return error;
}

int ethtool_channels_possible(int fd, const char *dev, uint32_t *combined)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
	int error = ask(fd, dev, &channels);

	*combined = error ? 0 : channels.max_combined;
	return error;
}

int ethtool_rings(int fd, const char *dev, uint32_t *rings)
{
	struct ethtool_rxnfc query = {.cmd = ETHTOOL_GRXRINGS};
	int error = ask(fd, dev, &query);

	*rings = error ? 0 : (uint32_t)query.data;
	return error;
}

int ethtool_rss(int fd, const char *dev, void *answer, size_t size, size_t *len)
{
	struct ethtool_rxfh sizes = {.cmd = ETHTOOL_GRSSH};
	int error = ask(fd, dev, &sizes);

	*len = 0;
	if (error)
		return error;
	if (sizes.indir_size > (size - sizeof(sizes)) / sizeof(uint32_t) ||
	    sizes.key_size > size - sizeof(sizes) - sizes.indir_size * sizeof(uint32_t))
		return -EMSGSIZE;
	memset(answer, 0, size);
	memcpy(answer, &sizes, sizeof(sizes));
	/* With both sizes 0 this would be the same question again. */
	if (sizes.indir_size || sizes.key_size)
		error = ask(fd, dev, answer);
	*len = sizeof(sizes) + sizes.indir_size * sizeof(uint32_t) + sizes.key_size;
	return error;
}

/* Questions whose answers follow a head of their own: `bytes` is head and room for the answer. */
#define ANSWER(type, room)                            \
	union {                                       \
		type head;                            \
		uint8_t bytes[sizeof(type) + (room)]; \
	}

int ethtool_table(int fd, const char *dev, void *answer, size_t size, uint16_t *queue, uint32_t max,
		  uint32_t *entries)
{
	struct ethtool_rxfh_indir head = {.cmd = ETHTOOL_GRXFHINDIR};
	int error = ask(fd, dev, &head); /* size 0: asks for the size */

	*entries = 0;
	if (error)
		return error;
	if (head.size > (size - sizeof(head)) / sizeof(uint32_t) || head.size > max)
		return -EMSGSIZE;
	memset(answer, 0, size);
	memcpy(answer, &head, sizeof(head));
	error = ask(fd, dev, answer);
	if (error)
		return error;
	for (uint32_t i = 0; i < head.size; i++) {
		uint32_t ring;

		memcpy(&ring, (uint8_t *)answer + sizeof(head) + i * sizeof(ring), sizeof(ring));
		if (ring > UINT16_MAX)
			return -EBADMSG;
		queue[i] = (uint16_t)ring;
	}
	*entries = head.size;
	return 0;
}

int ethtool_hash_fields(int fd, const char *dev, uint32_t flow_type, uint64_t *bits)
{
	struct ethtool_rxnfc query = {.cmd = ETHTOOL_GRXFH, .flow_type = flow_type};
	int error = ask(fd, dev, &query);

	*bits = error ? 0 : query.data;
	return error;
}

int ethtool_flags(int fd, const char *dev, bool *rx_hash, bool *ntuple)
{
	struct ethtool_value flags = {.cmd = ETHTOOL_GFLAGS};
	int error = ask(fd, dev, &flags);

	*rx_hash = !error && flags.data & ETH_FLAG_RXHASH;
	*ntuple = !error && flags.data & ETH_FLAG_NTUPLE;
	return error;
}

static int private_flag_count(int fd, const char *dev, uint32_t *count)
{
	ANSWER(struct ethtool_sset_info, sizeof(uint32_t))
	set = {.head = {.cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1U << ETH_SS_PRIV_FLAGS}};
	int error = ask(fd, dev, &set);

	if (error)
		return error;
	memcpy(count, set.bytes + sizeof(set.head), sizeof(*count));
	return set.head.sset_mask && *count <= PRIVATE_FLAGS_MAX ? 0 : -ENOENT;
}

int ethtool_private_flag(int fd, const char *dev, const char *name, bool *on)
{
	ANSWER(struct ethtool_gstrings, PRIVATE_FLAGS_MAX * ETH_GSTRING_LEN)
	strings = {.head = {.cmd = ETHTOOL_GSTRINGS, .string_set = ETH_SS_PRIV_FLAGS}};
	struct ethtool_value flags = {.cmd = ETHTOOL_GPFLAGS};
	uint32_t count = 0;
	int error = private_flag_count(fd, dev, &count);

	*on = false;
	strings.head.len = count;
	if (!error)
		error = ask(fd, dev, &strings);
	if (!error)
		error = ask(fd, dev, &flags);
	if (error)
		return error;
	for (uint32_t i = 0; i < count; i++) {
		const char *found = (const char *)strings.bytes + sizeof(strings.head) +
				    (size_t)i * ETH_GSTRING_LEN;

		if (strncmp(found, name, ETH_GSTRING_LEN))
			continue;
		*on = flags.data >> i & 1;
		return 0;
	}
	return -ENOENT;
}

/* Masks of an rxnfc rule have 1 for the bits that are compared. */
static bool port_may_match(uint16_t rule_port, uint16_t mask, uint16_t low, uint16_t high)
{
	return mask != UINT16_MAX || (ntohs(rule_port) >= low && ntohs(rule_port) <= high);
}

bool ethtool_rule_may_match(const struct ethtool_rx_flow_spec *rule, uint16_t low, uint16_t high)
{
	const union ethtool_flow_union *value = &rule->h_u;
	const union ethtool_flow_union *mask = &rule->m_u;

	switch (rule->flow_type & ~(uint32_t)(FLOW_EXT | FLOW_MAC_EXT | FLOW_RSS)) {
	case TCP_V4_FLOW:
		return port_may_match(value->tcp_ip4_spec.pdst, mask->tcp_ip4_spec.pdst, low, high);
	case TCP_V6_FLOW:
		return port_may_match(value->tcp_ip6_spec.pdst, mask->tcp_ip6_spec.pdst, low, high);
	case IPV4_USER_FLOW:
		return mask->usr_ip4_spec.proto != UINT8_MAX ||
		       value->usr_ip4_spec.proto == IPPROTO_TCP;
	case IPV6_USER_FLOW:
		return mask->usr_ip6_spec.l4_proto != UINT8_MAX ||
		       value->usr_ip6_spec.l4_proto == IPPROTO_TCP;
	case ETHER_FLOW:
		return true;
	default: /* UDP, SCTP, AH, ESP */
		return false;
	}
}

int ethtool_rules(int fd, const char *dev, uint16_t low, uint16_t high, uint32_t *rules)
{
	struct ethtool_rxnfc count = {.cmd = ETHTOOL_GRXCLSRLCNT};
	ANSWER(struct ethtool_rxnfc, RULES_READ_MAX * sizeof(uint32_t))
	all = {.head.cmd = ETHTOOL_GRXCLSRLALL};
	int error = ask(fd, dev, &count);

	*rules = 0;
	if (error || !count.rule_cnt)
		return error;
	*rules = count.rule_cnt;
	if (count.rule_cnt > RULES_READ_MAX)
		return 0;
	all.head.rule_cnt = count.rule_cnt;
	error = ask(fd, dev, &all);
	if (error || all.head.rule_cnt > RULES_READ_MAX)
		return error;
	*rules = 0;
	for (uint32_t i = 0; i < all.head.rule_cnt; i++) {
		struct ethtool_rxnfc one = {.cmd = ETHTOOL_GRXCLSRULE};

		/* They begin at rule_locs, which is inside the padding of the head. */
		memcpy(&one.fs.location,
		       all.bytes + offsetof(struct ethtool_rxnfc, rule_locs) + i * sizeof(uint32_t),
		       sizeof(uint32_t));
		if (ask(fd, dev, &one) || ethtool_rule_may_match(&one.fs, low, high))
			++*rules;
	}
	return 0;
}
