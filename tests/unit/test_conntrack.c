/* Connection tracking's answers: whole and damaged. */
#include "shim/kernel/conntrack.h"
#include "tests/unit/nic_bytes.h"
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdlib.h>
#include <string.h>

static struct bytes bytes;

static size_t nest(uint16_t type)
{
	size_t at = bytes.len;

	bytes_attr(&bytes, type | NLA_F_NESTED, "", 0);
	return at;
}

static void nest_end(size_t at)
{
	uint16_t len = (uint16_t)(bytes.len - at);

	memcpy(bytes.data + at, &len, sizeof(len));
}

static void add_port(uint16_t type, uint16_t port)
{
	port = htons(port);
	bytes_attr(&bytes, type, &port, sizeof(port));
}

static void add_tuple(uint16_t type, int family, const char *from, uint16_t from_port,
		      const char *to, uint16_t to_port)
{
	size_t len = family == AF_INET6 ? 16 : 4, tuple = nest(type), part = nest(CTA_TUPLE_IP);
	uint8_t address[16], protocol = IPPROTO_TCP;

	cr_assert_eq(inet_pton(family, from, address), 1);
	bytes_attr(&bytes, family == AF_INET6 ? CTA_IP_V6_SRC : CTA_IP_V4_SRC, address, len);
	cr_assert_eq(inet_pton(family, to, address), 1);
	bytes_attr(&bytes, family == AF_INET6 ? CTA_IP_V6_DST : CTA_IP_V4_DST, address, len);
	nest_end(part);
	part = nest(CTA_TUPLE_PROTO);
	bytes_attr(&bytes, CTA_PROTO_NUM, &protocol, sizeof(protocol));
	add_port(CTA_PROTO_SRC_PORT, from_port);
	add_port(CTA_PROTO_DST_PORT, to_port);
	nest_end(part);
	nest_end(tuple);
}

static void message(int family, const char *us, const char *them, const char *back_from,
		    const char *back_to)
{
	const struct nfgenmsg header = {.nfgen_family = (uint8_t)family};

	bytes.len = 0;
	bytes_add(&bytes, &header, sizeof(header));
	add_tuple(CTA_TUPLE_ORIG, family, us, 40000, them, 443);
	bytes_u32(&bytes, CTA_MARK, 7);
	add_tuple(CTA_TUPLE_REPLY, family, back_from, 8443, back_to, 50000);
	bytes_u32(&bytes, CTA_ID, 9);
}

static void expect(const uint8_t got[16], int family, const char *text)
{
	uint8_t want[16] = {0};

	cr_assert_eq(inet_pton(family, text, want), 1);
	cr_expect_arr_eq(got, want, 16, "not %s", text);
}

Test(conntrack, replies)
{
	struct conntrack_tuple replies;

	message(AF_INET, "192.0.2.1", "198.51.100.1", "172.17.0.2", "192.0.2.9");
	cr_assert(conntrack_parse(bytes.data, bytes.len, &replies));
	expect(replies.from, AF_INET, "172.17.0.2");
	expect(replies.to, AF_INET, "192.0.2.9");
	cr_expect_eq(replies.from_port, 8443);
	cr_expect_eq(replies.to_port, 50000);
	message(AF_INET6, "2001:db8::1", "2001:db8::2", "fd00::2", "2001:db8::9");
	cr_assert(conntrack_parse(bytes.data, bytes.len, &replies));
	expect(replies.from, AF_INET6, "fd00::2");
	expect(replies.to, AF_INET6, "2001:db8::9");
}

Test(conntrack, damaged)
{
	struct conntrack_tuple replies;
	struct bytes copy;
	unsigned seed = 5;

	message(AF_INET6, "2001:db8::1", "2001:db8::2", "fd00::2", "2001:db8::9");
	for (size_t cut = 0; cut < bytes.len - 8; cut++)
		cr_expect_not(conntrack_parse(bytes.data, cut, &replies), "%zu bytes", cut);
	for (int round = 0; round < 20000; round++) {
		copy = bytes;
		for (int i = 0; i < 3; i++)
			copy.data[(unsigned)rand_r(&seed) % copy.len] = (uint8_t)rand_r(&seed);
		conntrack_parse(copy.data, copy.len, &replies);
	}
}

/* A connection that nobody tracks, and a host without tracking. */
Test(conntrack, nobody_knows)
{
	struct conntrack_tuple sent = {.from = {192, 0, 2, 1}, .to = {192, 0, 2, 2}, 1, 2};
	int proc = open("/proc", O_PATH | O_DIRECTORY), tmp = open("/tmp", O_PATH | O_DIRECTORY);

	cr_expect_lt(conntrack_translated(proc, AF_INET, &sent), 0);
	cr_expect_eq(conntrack_translated(tmp, AF_INET, &sent), -ENOENT);
}
