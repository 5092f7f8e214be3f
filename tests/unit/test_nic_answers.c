/* The kernel's answers about hash, queues and links: whole, cut, and with bytes replaced. */
#include "shim/kernel/ethtool.h"
#include "shim/kernel/netlink.h"
#include "shim/nic/nic_links.h"
#include "shim/nic/queue_answer.h"
#include "shim/nic/rss_answer.h"
#include "tests/unit/nic_bytes.h"
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/genetlink.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>

static struct rss_hash hash;
static struct rss_table table;
static uint32_t context;

/* struct ethtool_rxfh, table, key. */
static size_t ioctl_answer(uint8_t *answer, uint32_t entries, uint32_t key_len, uint8_t function,
			   uint8_t transform)
{
	struct ethtool_rxfh head = {.cmd = ETHTOOL_GRSSH,
				    .indir_size = entries,
				    .key_size = key_len,
				    .hfunc = function,
				    .rsvd8 = {transform}};
	size_t len = sizeof(head);

	memcpy(answer, &head, sizeof(head));
	for (uint32_t i = 0; i < entries; i++, len += 4)
		memcpy(answer + len, &(uint32_t){i % 6}, 4);
	for (uint32_t i = 0; i < key_len; i++)
		answer[len++] = (uint8_t)(i + 1);
	return len;
}

static uint8_t answer[32768];

Test(nic_answers, rss_ioctl)
{
	size_t len = ioctl_answer(answer, 512, 52, 1, 0);

	cr_assert_eq(rss_parse_ioctl(answer, len, &hash, &table), 0);
	cr_expect_eq(hash.function, HASH_TOEPLITZ);
	cr_expect_eq(hash.transform, TRANSFORM_NONE);
	cr_expect_eq(hash.key_len, 52);
	cr_expect_eq(hash.key[0], 1);
	cr_expect_eq(hash.key[51], 52);
	cr_expect_eq(table.size, 512);
	cr_expect_eq(table.queue[7], 1);
}

Test(nic_answers, rss_functions_and_transforms)
{
	static const enum hash_function functions[] = {HASH_UNKNOWN, HASH_TOEPLITZ, HASH_XOR,
						       HASH_UNKNOWN, HASH_CRC32};
	static const enum hash_transform transforms[] = {TRANSFORM_NONE, TRANSFORM_SYMMETRIC_XOR,
							 TRANSFORM_SYMMETRIC_OR_XOR};

	for (uint8_t bits = 0; bits < 5; bits++) {
		size_t len = ioctl_answer(answer, 4, 40, bits, 0);

		cr_expect_eq(rss_parse_ioctl(answer, len, &hash, &table), 0);
		cr_expect_eq(hash.function, functions[bits], "hfunc %u", bits);
	}
	for (uint8_t bits = 0; bits < 3; bits++) {
		size_t len = ioctl_answer(answer, 4, 40, 1, bits);

		cr_expect_eq(rss_parse_ioctl(answer, len, &hash, &table), 0);
		cr_expect_eq(hash.transform, transforms[bits], "input_xfrm %u", bits);
	}
}

Test(nic_answers, rss_without_key_or_table)
{
	size_t len = ioctl_answer(answer, 0, 0, 1, 0);

	cr_expect_eq(rss_parse_ioctl(answer, len, &hash, &table), 0);
	cr_expect_eq(hash.key_len, 0);
	cr_expect_eq(table.size, 0);
	/* A key of zeros would put every flow into bucket 0: the driver hides it. */
	len = ioctl_answer(answer, 8, 40, 1, 0);
	memset(answer + len - 40, 0, 40);
	cr_expect_eq(rss_parse_ioctl(answer, len, &hash, &table), 0);
	cr_expect_eq(hash.key_len, 0);
	cr_expect_eq(table.size, 8);
}

Test(nic_answers, rss_ioctl_cut_or_too_large)
{
	size_t len = ioctl_answer(answer, 128, 40, 1, 0);

	for (size_t cut = 0; cut < len; cut++) {
		cr_assert_eq(rss_parse_ioctl(answer, cut, &hash, &table), -EBADMSG, "%zu", cut);
		cr_assert(!hash.key_len && !table.size && hash.function == HASH_UNKNOWN);
	}
	len = ioctl_answer(answer, RSS_TABLE_MAX + 1, 40, 1, 0);
	cr_expect_eq(rss_parse_ioctl(answer, len, &hash, &table), -EBADMSG);
	len = ioctl_answer(answer, 4, RSS_KEY_MAX + 12, 1, 0);
	cr_expect_eq(rss_parse_ioctl(answer, len, &hash, &table), 0, "the rest hashes nothing");
	cr_expect_eq(hash.key_len, RSS_KEY_MAX);
	cr_expect_eq(table.size, 4);
	cr_expect_eq(rss_parse_ioctl(answer, len - 1, &hash, &table), -EBADMSG);
	len = ioctl_answer(answer, 4, 40, 1, 0);
	memcpy(answer + sizeof(struct ethtool_rxfh), &(uint32_t){RSS_QUEUES_MAX}, 4);
	cr_expect_eq(rss_parse_ioctl(answer, len, &hash, &table), -EBADMSG);
}

static struct bytes bytes;

static void netlink_rss(void)
{
	struct genlmsghdr header = {.cmd = 38};
	uint32_t queues[128];
	uint8_t key[40];
	size_t nest;

	for (uint32_t i = 0; i < 128; i++)
		queues[i] = i % 3;
	memset(key, 0x6d, sizeof(key));
	bytes.len = 0;
	bytes_add(&bytes, &header, sizeof(header));
	nest = bytes_begin(&bytes, 1);
	bytes_u32(&bytes, 1, 7);
	bytes_text(&bytes, 2, "eth0");
	bytes_end(&bytes, nest);
	bytes_attr(&bytes, 4, queues, sizeof(queues));
	bytes_u32(&bytes, 3, 1);
	bytes_u32(&bytes, 6, 2);
	bytes_attr(&bytes, 5, key, sizeof(key));
}

Test(nic_answers, rss_netlink)
{
	netlink_rss();
	cr_assert_eq(rss_parse_netlink(bytes.data, bytes.len, &hash, &table, &context), 0);
	cr_expect_eq(context, 0);
	cr_expect_eq(hash.function, HASH_TOEPLITZ);
	cr_expect_eq(hash.transform, TRANSFORM_SYMMETRIC_OR_XOR);
	cr_expect_eq(hash.key_len, 40);
	cr_expect_eq(hash.key[39], 0x6d);
	cr_expect_eq(table.size, 128);
	cr_expect_eq(table.queue[5], 2);
	bytes_u32(&bytes, 2, 3);
	cr_assert_eq(rss_parse_netlink(bytes.data, bytes.len, &hash, &table, &context), 0);
	cr_expect_eq(context, 3);
}

Test(nic_answers, rss_netlink_damaged)
{
	struct bytes copy;
	unsigned seed = 2;

	netlink_rss();
	for (size_t cut = 0; cut < bytes.len; cut++)
		rss_parse_netlink(bytes.data, cut, &hash, &table, &context);
	for (int round = 0; round < 20000; round++) {
		copy = bytes;
		for (int i = 0; i < 4; i++)
			copy.data[(unsigned)rand_r(&seed) % copy.len] = (uint8_t)rand_r(&seed);
		rss_parse_netlink(copy.data, copy.len, &hash, &table, &context);
		cr_assert_leq(hash.key_len, RSS_KEY_MAX);
		cr_assert_leq(table.size, RSS_TABLE_MAX);
		for (uint32_t i = 0; i < table.size; i++)
			cr_assert_lt(table.queue[i], RSS_QUEUES_MAX);
	}
}

Test(nic_answers, hashed_fields)
{
	cr_expect_eq(rss_fields(RXH_IP_SRC | RXH_IP_DST | RXH_L4_B_0_1 | RXH_L4_B_2_3),
		     FIELDS_4_TUPLE);
	cr_expect_eq(rss_fields(RXH_IP_SRC | RXH_IP_DST), FIELDS_ADDRESSES);
	cr_expect_eq(rss_fields(RXH_IP_SRC | RXH_L4_B_0_1), FIELDS_OTHER);
	cr_expect_eq(rss_fields(RXH_IP_SRC | RXH_IP_DST | RXH_VLAN), FIELDS_OTHER);
	cr_expect_eq(rss_fields(RXH_IP_SRC | RXH_IP_DST | RXH_L4_B_0_1 | RXH_L4_B_2_3 | RXH_VLAN),
		     FIELDS_OTHER);
	cr_expect_eq(rss_fields(0), FIELDS_OTHER);
}

/* Ephemeral ports are those of outgoing connections; other rules are for listeners. */
Test(nic_answers, rules_that_touch_outgoing_tcp)
{
	struct ethtool_rx_flow_spec rule = {.flow_type = TCP_V4_FLOW};

	cr_expect(ethtool_rule_may_match(&rule, 32768, 60999), "all TCP");
	rule.h_u.tcp_ip4_spec.pdst = htons(443);
	rule.m_u.tcp_ip4_spec.pdst = 0xffff;
	cr_expect_not(ethtool_rule_may_match(&rule, 32768, 60999));
	cr_expect(ethtool_rule_may_match(&rule, 1, 65535));
	rule.m_u.tcp_ip4_spec.pdst = htons(0xff00);
	cr_expect(ethtool_rule_may_match(&rule, 32768, 60999), "part of the port");
	rule.m_u.tcp_ip4_spec.pdst = 0xffff;
	rule.flow_type = TCP_V6_FLOW | FLOW_RSS;
	cr_expect(ethtool_rule_may_match(&rule, 32768, 60999), "the IPv6 port is elsewhere");
	memset(&rule, 0, sizeof(rule));
	rule.flow_type = UDP_V4_FLOW;
	cr_expect_not(ethtool_rule_may_match(&rule, 1, 65535));
	rule.flow_type = IPV4_USER_FLOW | FLOW_EXT;
	cr_expect(ethtool_rule_may_match(&rule, 1, 65535));
	rule.h_u.usr_ip4_spec.proto = IPPROTO_UDP;
	rule.m_u.usr_ip4_spec.proto = 0xff;
	cr_expect_not(ethtool_rule_may_match(&rule, 1, 65535));
	rule.flow_type = ETHER_FLOW;
	cr_expect(ethtool_rule_may_match(&rule, 1, 65535));
}

static struct queue_map map;

static void queue(uint32_t id, uint32_t type, uint32_t napi)
{
	struct genlmsghdr header = {.cmd = 10};

	bytes.len = 0;
	bytes_add(&bytes, &header, sizeof(header));
	bytes_u32(&bytes, 1, id);
	bytes_u32(&bytes, 3, type);
	bytes_u32(&bytes, 4, napi);
	bytes_u32(&bytes, 2, 7);
	queue_answer(&map, bytes.data, bytes.len);
}

static void napi(uint32_t id, uint32_t irq, uint32_t pid)
{
	struct genlmsghdr header = {.cmd = 11};

	bytes.len = 0;
	bytes_add(&bytes, &header, sizeof(header));
	bytes_u32(&bytes, 1, 7);
	bytes_u32(&bytes, 2, id);
	if (irq)
		bytes_u32(&bytes, 3, irq);
	if (pid)
		bytes_u32(&bytes, 4, pid);
	napi_answer(&map, bytes.data, bytes.len);
}

Test(nic_answers, queues_and_napis)
{
	queue_map_init(&map);
	for (uint32_t i = 0; i < 4; i++) {
		queue(i, 0, 8200 + i);
		queue(i, 1, 8200 + i);
	}
	queue(2, 7, 8200); /* a type to come */
	queue(RSS_QUEUES_MAX, 0, 8200);
	cr_expect_eq(map.rx.count, 4);
	cr_expect_eq(map.tx.count, 4);
	for (uint32_t i = 0; i < 4; i++)
		napi(8200 + i, i == 3 ? 0 : 60 + i, i == 2 ? 4711 : 0);
	napi(0, 1, 1);
	cr_expect_eq(map.rx.irq[0], 60);
	cr_expect_eq(map.tx.irq[1], 61);
	cr_expect_eq(map.rx.thread[2], 4711);
	cr_expect_eq(map.rx.irq[3], -1);
	for (size_t cut = 0; cut < bytes.len; cut++) {
		napi_answer(&map, bytes.data, cut);
		queue_answer(&map, bytes.data, cut);
	}
}

static struct nic_links links;

static void link_message(uint8_t mode)
{
	struct ifinfomsg info = {.ifi_index = 9, .ifi_flags = IFF_UP};
	size_t outer;
	size_t inner;

	bytes.len = 0;
	bytes_add(&bytes, &info, sizeof(info));
	bytes_text(&bytes, IFLA_IFNAME, "bond0");
	bytes_u32(&bytes, IFLA_MASTER, 12);
	outer = bytes_begin(&bytes, IFLA_LINKINFO);
	bytes_text(&bytes, IFLA_INFO_KIND, "bond");
	inner = bytes_begin(&bytes, IFLA_INFO_DATA);
	bytes_attr(&bytes, IFLA_BOND_MODE, &mode, 1);
	bytes_u32(&bytes, IFLA_BOND_ACTIVE_SLAVE, 4);
	bytes_end(&bytes, inner);
	bytes_end(&bytes, outer);
}

Test(nic_answers, links)
{
	memset(&links, 0, sizeof(links));
	link_message(1);
	link_answer(&links, bytes.data, bytes.len);
	cr_assert_eq(links.count, 1);
	cr_expect_str_eq(links.link[0].name, "bond0");
	cr_expect_eq(links.link[0].ifindex, 9);
	cr_expect_eq(links.link[0].kind, NIC_BOND);
	cr_expect_eq(links.link[0].master, 12);
	cr_expect_eq(links.link[0].active_member, 4);
	cr_expect(links.link[0].up);
	/* In 802.3ad all members receive. */
	link_message(4);
	link_answer(&links, bytes.data, bytes.len);
	cr_expect_eq(links.link[1].active_member, 0);
}

Test(nic_answers, links_damaged_or_too_many)
{
	struct bytes copy;
	unsigned seed = 3;

	link_message(1);
	for (size_t cut = 0; cut < bytes.len; cut++) {
		memset(&links, 0, sizeof(links));
		link_answer(&links, bytes.data, cut);
	}
	for (int round = 0; round < 20000; round++) {
		copy = bytes;
		for (int i = 0; i < 3; i++)
			copy.data[(unsigned)rand_r(&seed) % copy.len] = (uint8_t)rand_r(&seed);
		memset(&links, 0, sizeof(links));
		link_answer(&links, copy.data, copy.len);
		cr_assert_leq(links.count, 1);
		cr_assert(!links.count || memchr(links.link[0].name, 0, IF_NAMESIZE));
	}
	memset(&links, 0, sizeof(links));
	for (int i = 0; i < NIC_LINKS_MAX + 3; i++)
		link_answer(&links, bytes.data, bytes.len);
	cr_expect_eq(links.count, NIC_LINKS_MAX);
	cr_expect_eq(links.missed, 3);
}

static void answer_plain(int index, const char *kind)
{
	struct ifinfomsg info = {.ifi_index = index};
	size_t outer;

	bytes.len = 0;
	bytes_add(&bytes, &info, sizeof(info));
	bytes_text(&bytes, IFLA_IFNAME, "dev");
	outer = bytes_begin(&bytes, IFLA_LINKINFO);
	bytes_text(&bytes, IFLA_INFO_KIND, kind);
	bytes_end(&bytes, outer);
	link_answer(&links, bytes.data, bytes.len);
}

/* The containers come first, the NIC last. */
Test(nic_answers, links_that_matter_find_room)
{
	bool found[2] = {false};

	memset(&links, 0, sizeof(links));
	for (int i = 1; i <= NIC_LINKS_MAX + 2; i++)
		answer_plain(i, "veth");
	answer_plain(1000, "bond");
	answer_plain(1001, "");
	answer_plain(1002, "veth");
	for (unsigned i = 0; i < links.count; i++)
		if (links.link[i].ifindex == 1000 || links.link[i].ifindex == 1001)
			found[links.link[i].ifindex - 1000] = true;
	cr_expect(found[0] && found[1]);
	cr_expect_eq(links.count, NIC_LINKS_MAX);
	cr_expect_eq(links.missed, 5);
}

Test(nic_answers, lines_of_proc_net_dev)
{
	char name[IF_NAMESIZE];

	cr_expect(link_line("  eth0:  123 4", name));
	cr_expect_str_eq(name, "eth0");
	cr_expect(link_line("wlp0s20f3mon15:1", name));
	cr_expect_not(link_line("Inter-|   Receive", name));
	cr_expect_not(link_line(" face |bytes    packets", name));
	cr_expect_not(link_line("averyveryverylongname: 1", name));
	cr_expect_not(link_line(":", name));
	cr_expect_not(link_line("", name));
}

static unsigned messages;

static void on_message(void *count, uint16_t type, const uint8_t *payload, size_t len)
{
	uint8_t sum = 0;

	(void)type;
	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + payload[i]);
	*(unsigned *)count += 1 + 0 * sum;
}

static void two_messages_and_end(int32_t error)
{
	size_t at;

	bytes.len = 0;
	for (int i = 0; i < 2; i++) {
		at = bytes_message(&bytes, RTM_NEWLINK, 5);
		bytes_u32(&bytes, 1, 2);
		bytes_message_end(&bytes, at);
	}
	at = bytes_message(&bytes, RTM_NEWLINK, 4); /* the answer to somebody else */
	bytes_message_end(&bytes, at);
	at = bytes_message(&bytes, error ? NLMSG_ERROR : NLMSG_DONE, 5);
	bytes_add(&bytes, &error, sizeof(error));
	bytes_message_end(&bytes, at);
}

Test(nic_answers, walk)
{
	int error;

	two_messages_and_end(0);
	messages = 0;
	cr_expect_not(nl_walk(bytes.data, bytes.len, 5, on_message, &messages, &error));
	cr_expect_eq(error, 0);
	cr_expect_eq(messages, 2);
	/* Without the end, more is to come. */
	cr_expect(nl_walk(bytes.data, bytes.len - 20, 5, on_message, &messages, &error));
	two_messages_and_end(-ENODEV);
	cr_expect_not(nl_walk(bytes.data, bytes.len, 5, on_message, &messages, &error));
	cr_expect_eq(error, -ENODEV);
}

Test(nic_answers, walk_damaged)
{
	struct bytes copy;
	unsigned seed = 4;
	int error;

	two_messages_and_end(0);
	for (size_t cut = 1; cut < bytes.len; cut++)
		nl_walk(bytes.data, cut, 5, on_message, &messages, &error);
	cr_expect_not(nl_walk(bytes.data, 17, 5, on_message, &messages, &error));
	cr_expect_eq(error, -EBADMSG);
	for (int round = 0; round < 20000; round++) {
		copy = bytes;
		for (int i = 0; i < 3; i++)
			copy.data[(unsigned)rand_r(&seed) % copy.len] = (uint8_t)rand_r(&seed);
		nl_walk(copy.data, copy.len, 5, on_message, &messages, &error);
		cr_assert_leq(error, 0);
	}
}

Test(nic_answers, request_that_does_not_fit)
{
	struct rtmsg route = {0};
	struct nl_request request;
	uint8_t large[250] = {0};

	nl_request_init(&request, RTM_GETROUTE, 0, &route, sizeof(route));
	nl_request_add(&request, 1, large, 100);
	cr_expect_gt(request.len, 0);
	nl_request_add(&request, 1, large, sizeof(large));
	cr_expect_eq(request.len, 0);
	nl_request_add_u32(&request, 1, 1);
	cr_expect_eq(
		nl_exchange(0, &request, (struct nl_buffer){large, 250}, on_message, &messages),
		-EMSGSIZE);
}
