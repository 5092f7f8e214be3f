#include "shim/kernel/conntrack.h"
#include "shim/kernel/netlink.h"
#include "shim/kernel/sys.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#define TRACKING_MARK "sys/net/netfilter/nf_conntrack_count"

static uint16_t port_of(const struct nl_attr *attr)
{
	uint16_t port = 0;

	if (attr->len >= sizeof(port))
		memcpy(&port, attr->value, sizeof(port));
	return ntohs(port);
}

static bool address_take(uint8_t address[16], const struct nl_attr *attr)
{
	if (attr->len > 16)
		return false;
	memcpy(address, attr->value, attr->len);
	return true;
}

static bool addresses_take(struct conntrack_tuple *tuple, struct nl_attrs attrs)
{
	bool from = false, to = false;
	struct nl_attr attr;

	while (nl_next(&attrs, &attr)) {
		if (attr.type == CTA_IP_V4_SRC || attr.type == CTA_IP_V6_SRC)
			from = address_take(tuple->from, &attr);
		else if (attr.type == CTA_IP_V4_DST || attr.type == CTA_IP_V6_DST)
			to = address_take(tuple->to, &attr);
	}
	return from && to;
}

static void ports_take(struct conntrack_tuple *tuple, struct nl_attrs attrs)
{
	struct nl_attr attr;

	while (nl_next(&attrs, &attr)) {
		if (attr.type == CTA_PROTO_SRC_PORT)
			tuple->from_port = port_of(&attr);
		else if (attr.type == CTA_PROTO_DST_PORT)
			tuple->to_port = port_of(&attr);
	}
}

static bool tuple_take(struct conntrack_tuple *tuple, struct nl_attrs attrs)
{
	bool addresses = false;
	struct nl_attr attr;

	while (nl_next(&attrs, &attr)) {
		if (attr.type == CTA_TUPLE_IP)
			addresses = addresses_take(tuple, nl_nested(&attr));
		else if (attr.type == CTA_TUPLE_PROTO)
			ports_take(tuple, nl_nested(&attr));
	}
	return addresses && tuple->from_port && tuple->to_port;
}

bool conntrack_parse(const uint8_t *payload, size_t len, struct conntrack_tuple *replies)
{
	const size_t header = NLMSG_ALIGN(sizeof(struct nfgenmsg));
	struct nl_attrs attrs;
	struct nl_attr attr;

	memset(replies, 0, sizeof(*replies));
	if (len < header)
		return false;
	attrs = (struct nl_attrs){payload + header, len - header};
	while (nl_next(&attrs, &attr))
		if (attr.type == CTA_TUPLE_REPLY)
			return tuple_take(replies, nl_nested(&attr));
	return false;
}

struct search {
	struct conntrack_tuple replies;
	bool found;
};

static void on_answer(void *context, uint16_t type, const uint8_t *payload, size_t len)
{
	struct search *search = context;

	(void)type;
	search->found = conntrack_parse(payload, len, &search->replies);
}

static void request_fill(struct nl_request *request, uint8_t family,
			 const struct conntrack_tuple *sent)
{
	const struct nfgenmsg header = {.nfgen_family = family, .version = NFNETLINK_V0};
	const uint16_t from_port = htons(sent->from_port), to_port = htons(sent->to_port);
	const uint8_t protocol = IPPROTO_TCP;
	bool is_ipv6 = family == AF_INET6;

	nl_request_init(request, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET, 0, &header,
			sizeof(header));
	size_t tuple = nl_nest_begin(request, CTA_TUPLE_ORIG);
	size_t part = nl_nest_begin(request, CTA_TUPLE_IP);
	nl_request_add(request, is_ipv6 ? CTA_IP_V6_SRC : CTA_IP_V4_SRC, sent->from,
		       is_ipv6 ? 16 : 4);
	nl_request_add(request, is_ipv6 ? CTA_IP_V6_DST : CTA_IP_V4_DST, sent->to,
		       is_ipv6 ? 16 : 4);
	nl_nest_end(request, part);
	part = nl_nest_begin(request, CTA_TUPLE_PROTO);
	nl_request_add(request, CTA_PROTO_NUM, &protocol, sizeof(protocol));
	nl_request_add(request, CTA_PROTO_SRC_PORT, &from_port, sizeof(from_port));
	nl_request_add(request, CTA_PROTO_DST_PORT, &to_port, sizeof(to_port));
	nl_nest_end(request, part);
	nl_nest_end(request, tuple);
}

static bool are_mirrored(const struct conntrack_tuple *a, const struct conntrack_tuple *b)
{
	return !memcmp(a->from, b->to, sizeof(a->from)) && !memcmp(a->to, b->from, sizeof(a->to)) &&
	       a->from_port == b->to_port && a->to_port == b->from_port;
}

int conntrack_translated(int proc, uint8_t family, const struct conntrack_tuple *sent)
{
	struct search search = {.found = false};
	struct nl_request request;
	uint8_t buffer[1536]; /* one entry is some 700 bytes */

	/* To ask would load what answers, and with it the tracking. */
	if (sys(SYS_faccessat, proc, TRACKING_MARK, F_OK) < 0)
		return -ENOENT;
	request_fill(&request, family, sent);
	int fd = nl_open(NETLINK_NETFILTER, 0, false);
	int error = nl_exchange(fd, &request, (struct nl_buffer){buffer, sizeof(buffer)}, on_answer,
				&search);
	if (fd >= 0)
		sys(SYS_close, fd);
	if (error)
		return error;
	return search.found ? !are_mirrored(sent, &search.replies) : -EBADMSG;
}
