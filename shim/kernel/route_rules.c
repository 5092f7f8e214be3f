#include "shim/kernel/route_rules.h"
#include "shim/kernel/netlink.h"
#include "shim/kernel/scratch.h"
#include "shim/kernel/sys.h"
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <string.h>

/* Linux 6.13; older headers do not have it. */
#define RULE_DSCP 25

#define BUFFER_SIZE 8192 /* what the kernel fills at once, at first */

void route_rule_parse(const uint8_t *payload, size_t len, struct route_rules *rules)
{
	struct fib_rule_hdr rule;
	struct nl_attrs attrs;
	struct nl_attr attr;

	if (len < NLMSG_ALIGN(sizeof(rule)))
		return;
	memcpy(&rule, payload, sizeof(rule));
	rules->tos |= rule.tos;
	attrs = (struct nl_attrs){payload + NLMSG_ALIGN(sizeof(rule)),
				  len - NLMSG_ALIGN(sizeof(rule))};
	while (nl_next(&attrs, &attr)) {
		rules->ports |= attr.type == FRA_DPORT_RANGE;
		rules->tos |= attr.type == RULE_DSCP;
	}
}

static void on_rule(void *context, uint16_t type, const uint8_t *payload, size_t len)
{
	if (type == RTM_NEWRULE)
		route_rule_parse(payload, len, context);
}

void route_rules_read(struct route_rules *rules)
{
	struct nl_buffer buffer = {scratch_take(BUFFER_SIZE), BUFFER_SIZE};
	int netlink = nl_open(NETLINK_ROUTE, 0, false);
	struct fib_rule_hdr any = {0};
	struct nl_request request;
	int error = -ENOMEM;

	memset(rules, 0, sizeof(*rules));
	nl_request_init(&request, RTM_GETRULE, NLM_F_DUMP, &any, sizeof(any));
	if (buffer.data)
		error = nl_exchange(netlink, &request, buffer, on_rule, rules);
	if (error)
		*rules = (struct route_rules){.ports = true, .tos = true};
	if (netlink >= 0)
		sys(SYS_close, netlink);
	if (buffer.data)
		scratch_return(buffer.data, BUFFER_SIZE);
}
