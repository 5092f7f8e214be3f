/* Routes: answers whole and damaged, both ways of asking on a real kernel, notices of change. */
#include "shim/kernel/netlink.h"
#include "shim/kernel/route.h"
#include "shim/kernel/route_rules.h"
#include "tests/unit/nic_bytes.h"
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

static struct bytes bytes;
static uint8_t room[NL_FAMILY_MAX];

static void route_message(uint8_t family, uint8_t type, uint32_t interface)
{
	struct rtmsg route = {.rtm_family = family, .rtm_type = type};
	static const uint8_t source[16] = {10, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

	bytes.len = 0;
	bytes_add(&bytes, &route, sizeof(route));
	bytes_u32(&bytes, RTA_TABLE, 254);
	bytes_attr(&bytes, RTA_DST, source, family == AF_INET6 ? 16 : 4);
	bytes_u32(&bytes, RTA_OIF, interface);
	bytes_attr(&bytes, RTA_PREFSRC, source, family == AF_INET6 ? 16 : 4);
}

Test(route, answers)
{
	struct route_answer answer;

	route_message(AF_INET, RTN_UNICAST, 7);
	cr_expect_eq(route_parse(bytes.data, bytes.len, &answer), 0);
	cr_expect_eq(answer.ifindex, 7);
	cr_expect_eq(answer.local[3], 3);
	cr_expect_eq(answer.local[4], 0);
	cr_expect_not(answer.is_local);
	route_message(AF_INET6, RTN_UNICAST, 7);
	cr_expect_eq(route_parse(bytes.data, bytes.len, &answer), 0);
	cr_expect_eq(answer.local[15], 16);
	route_message(AF_INET, RTN_LOCAL, 1);
	cr_expect_eq(route_parse(bytes.data, bytes.len, &answer), 0);
	cr_expect(answer.is_local);
	route_message(AF_INET, RTN_UNREACHABLE, 0);
	cr_expect_eq(route_parse(bytes.data, bytes.len, &answer), -ENETUNREACH);
	route_message(AF_INET, RTN_PROHIBIT, 0);
	cr_expect_eq(route_parse(bytes.data, bytes.len, &answer), -EACCES);
	route_message(AF_INET, RTN_UNICAST, 0);
	cr_expect_eq(route_parse(bytes.data, bytes.len, &answer), -EBADMSG);
}

Test(route, damaged_answers)
{
	struct route_answer answer;
	struct bytes copy;
	unsigned seed = 5;

	route_message(AF_INET6, RTN_UNICAST, 7);
	for (size_t cut = 0; cut < bytes.len; cut++)
		route_parse(bytes.data, cut, &answer);
	for (int round = 0; round < 20000; round++) {
		copy = bytes;
		for (int i = 0; i < 3; i++)
			copy.data[(unsigned)rand_r(&seed) % copy.len] = (uint8_t)rand_r(&seed);
		route_parse(copy.data, copy.len, &answer);
	}
	cr_expect_eq(route_parse(bytes.data, 4, &answer), -EBADMSG);
}

Test(route, lines_of_if_inet6)
{
	static const uint8_t address[16] = {0xfe, 0x80, 0, 0,    0,    0, 0, 0,
					    2,    0xfc, 0, 0xff, 0xfe, 0, 0, 1};
	static const char line[] = "fe8000000000000002fc00fffe000001 0a 40 20 80     eth0";
	char cut[sizeof(line)];

	cr_expect_eq(route_inet6_line(line, address), 10);
	for (size_t len = 0; len < 35; len++) {
		snprintf(cut, sizeof(cut), "%.*s", (int)len, line);
		cr_expect_eq(route_inet6_line(cut, address), 0, "'%s'", cut);
	}
	memcpy(cut, line, sizeof(line));
	cut[31] = '2';
	cr_expect_eq(route_inet6_line(cut, address), 0);
	cut[31] = 'x';
	cr_expect_eq(route_inet6_line(cut, address), 0);
}

static struct route_asker asker;

static void open_asker(void)
{
	asker.netlink = nl_open(NETLINK_ROUTE, 0, false);
	asker.proc = open("/proc", O_PATH | O_DIRECTORY);
	cr_assert_geq(asker.netlink, 0);
}

static struct route_query query_of(const char *remote)
{
	struct route_query query = {.family = strchr(remote, ':') ? AF_INET6 : AF_INET};

	cr_assert_eq(inet_pton(query.family, remote, query.remote), 1);
	return query;
}

static void expect_local(const char *remote)
{
	struct route_query query = query_of(remote);
	struct route_answer by_netlink;
	struct route_answer by_udp;

	cr_expect_eq(route_lookup(&asker, &query, &by_netlink), 0, "%s", remote);
	cr_expect(by_netlink.is_local);
	cr_expect_eq(by_netlink.ifindex, 1);
	cr_expect_eq(route_probe(&asker, &query, &by_udp), 0, "%s", remote);
	cr_expect(by_udp.is_local);
	cr_expect_eq(by_udp.ifindex, 1);
	cr_expect_arr_eq(by_udp.local, by_netlink.local, 16);
}

Test(route, loopback_both_ways)
{
	open_asker();
	expect_local("127.0.0.1");
	if (!access("/proc/net/if_inet6", R_OK))
		expect_local("::1");
}

/* Where netlink is forbidden the UDP way answers by itself. */
Test(route, without_netlink)
{
	struct route_query query = query_of("127.0.0.1");
	struct route_answer answer;

	open_asker();
	close(asker.netlink);
	asker.netlink = -EAFNOSUPPORT;
	cr_expect_eq(route_lookup(&asker, &query, &answer), 0);
	cr_expect(answer.is_local);
	cr_expect_eq(answer.ifindex, 1);
}

/* A network namespace of our own, where nothing can be broken. */
static void own_namespace(void)
{
	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET))
		cr_skip_test("no network namespace may be made here: %s", strerror(errno));
}

static void add_address(const char *dev, const char *address)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {0};
	struct sockaddr_in in = {.sin_family = AF_INET};

	strcpy(request.ifr_name, dev);
	request.ifr_flags = IFF_UP;
	cr_assert_eq(ioctl(fd, SIOCSIFFLAGS, &request), 0);
	inet_pton(AF_INET, address, &in.sin_addr);
	memcpy(&request.ifr_addr, &in, sizeof(in));
	cr_assert_eq(ioctl(fd, SIOCSIFADDR, &request), 0);
	close(fd);
}

Test(route, no_route)
{
	struct route_query query = query_of("192.0.2.1");
	struct route_answer answer;

	own_namespace();
	open_asker();
	cr_expect_eq(route_lookup(&asker, &query, &answer), -ENETUNREACH);
	cr_expect_eq(route_probe(&asker, &query, &answer), -ENETUNREACH);
	cr_expect_eq(answer.ifindex, 0);
}

Test(route, bound_source)
{
	struct route_query query = query_of("127.0.0.1");
	struct route_answer answer;

	own_namespace();
	open_asker();
	add_address("lo", "127.0.0.1");
	inet_pton(AF_INET, "127.0.0.77", query.local);
	cr_expect_eq(route_lookup(&asker, &query, &answer), 0);
	cr_expect_eq(answer.local[3], 77);
	cr_expect_eq(route_probe(&asker, &query, &answer), 0);
	cr_expect_eq(answer.local[3], 77);
	cr_expect(answer.is_local);
}

Test(route, changes_are_noticed)
{
	struct route_watch watch;
	struct route_news news = {0};

	own_namespace();
	cr_assert_eq(route_watch_open(&watch, (struct nl_buffer){room, sizeof(room)}), 0);
	cr_expect_not(route_changed(watch.route, NULL));
	add_address("lo", "127.0.0.1");
	cr_expect(route_changed(watch.route, NULL)); /* of the link, too: that went up */
	cr_expect_not(route_changed(watch.route, NULL), "told twice");
	add_address("lo", "127.0.0.2");
	cr_expect(route_changed(watch.route, &news));
	cr_expect_not(news.links);
	cr_assert_eq(system("ip link set lo mtu 65000"), 0);
	cr_expect(route_changed(watch.route, &news));
	cr_expect(news.links);
	cr_expect_not(news.rules);
	for (int family = 4; family <= 6; family += 2) {
		char command[64];

		news.rules = false;
		snprintf(command, sizeof(command), "ip -%d rule add dport 443 lookup 7", family);
		cr_assert_eq(system(command), 0);
		cr_expect(route_changed(watch.route, &news));
		cr_expect(news.rules, "IPv%d", family);
	}
	cr_expect_not(route_changed(watch.ethtool, NULL));
	cr_expect_not(route_changed(-EPERM, NULL));
	route_watch_close(&watch);
	cr_expect_lt(watch.route, 0);
}

/* What was lost in an overflow is a change. */
Test(route, overflow_is_a_change)
{
	struct route_watch watch;
	int small = 1;
	int fd;

	own_namespace();
	cr_assert_eq(route_watch_open(&watch, (struct nl_buffer){room, sizeof(room)}), 0);
	setsockopt(watch.route, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	for (int i = 0; i < 200; i++) {
		char address[16];

		snprintf(address, sizeof(address), "127.0.0.%d", 1 + i);
		add_address("lo", address);
	}
	struct route_news news = {0};
	cr_expect(route_changed(watch.route, &news));
	cr_expect(news.links && news.rules, "among what was lost, for all we know");
	cr_expect_not(route_changed(watch.route, NULL));
	add_address("lo", "127.0.0.250");
	cr_expect(route_changed(watch.route, NULL), "deaf after the overflow");
	fd = watch.route;
	route_watch_close(&watch);
	cr_expect_eq(fcntl(fd, F_GETFD), -1);
}

static void rule_message(uint8_t tos, uint16_t attribute)
{
	struct fib_rule_hdr rule = {.family = AF_INET, .tos = tos, .action = FR_ACT_TO_TBL};

	bytes.len = 0;
	bytes_add(&bytes, &rule, sizeof(rule));
	bytes_u32(&bytes, FRA_TABLE, 100);
	bytes_u32(&bytes, attribute, 443 << 16 | 443);
}

Test(rules, what_they_go_by)
{
	struct route_rules rules = {0};

	rule_message(0, FRA_FWMARK);
	route_rule_parse(bytes.data, bytes.len, &rules);
	rule_message(0, FRA_IP_PROTO);
	route_rule_parse(bytes.data, bytes.len, &rules);
	cr_expect_not(rules.ports || rules.tos);
	rule_message(0, FRA_DPORT_RANGE);
	for (size_t cut = 0; cut < bytes.len - 8; cut++) {
		struct route_rules none = {0};

		route_rule_parse(bytes.data, cut, &none);
		cr_expect_not(none.ports || none.tos, "%zu", cut);
	}
	route_rule_parse(bytes.data, bytes.len, &rules);
	cr_expect(rules.ports && !rules.tos);
	rule_message(0x10, FRA_FWMARK);
	route_rule_parse(bytes.data, bytes.len, &rules);
	cr_expect(rules.ports && rules.tos, "what others have stays");
}

Test(rules, of_this_network)
{
	static const struct {
		const char *command;
		bool ports, tos;
	} steps[] = {
		{"ip rule add fwmark 7 lookup 7", false, false},
		{"ip rule add sport 443 lookup 7", false, false},
		{"ip rule add dport 443 lookup 7 pref 70", true, false},
		{"ip rule del pref 70", false, false},
		{"ip -6 rule add dport 443-500 lookup 7 pref 71", true, false},
		{"ip rule add tos 0x10 lookup 7 pref 72", true, true},
		{"ip -6 rule del pref 71", false, true},
		{"ip rule del pref 72; ip -6 rule add tos 0x10 lookup 7", false, true},
	};
	struct route_rules rules;

	own_namespace();
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		cr_assert_eq(system(steps[i].command), 0);
		route_rules_read(&rules);
		cr_expect_eq(rules.ports, steps[i].ports, "%s", steps[i].command);
		cr_expect_eq(rules.tos, steps[i].tos, "%s", steps[i].command);
	}
}

/* More than one datagram of them. */
Test(rules, many)
{
	struct route_rules rules;

	own_namespace();
	cr_assert_eq(system("for i in $(seq 600); do echo rule add fwmark $i lookup 7; done |"
			    "ip -batch -"),
		     0);
	route_rules_read(&rules);
	cr_expect_not(rules.ports || rules.tos);
	cr_assert_eq(system("ip rule add dport 443 lookup 7 pref 32000"), 0);
	route_rules_read(&rules);
	cr_expect(rules.ports && !rules.tos);
}

/* A question that says the port, and the type of service, is answered by the rules about these. */
Test(route, by_port_and_type_of_service)
{
	static const struct {
		uint16_t port;
		uint8_t tos, source;
	} cases[] = {{80, 0, 1}, {443, 0, 2}, {80, 0x10, 3}, {0, 0, 1}};
	struct route_query query = query_of("192.0.2.1");
	struct route_answer answer;

	own_namespace();
	open_asker();
	add_address("lo", "127.0.0.1");
	cr_assert_eq(system("ip addr add 10.0.0.1/32 dev lo; ip addr add 10.0.0.2/32 dev lo;"
			    "ip addr add 10.0.0.3/32 dev lo;"
			    "ip route add 192.0.2.0/24 dev lo src 10.0.0.1;"
			    "ip route add 192.0.2.0/24 dev lo src 10.0.0.2 table 7;"
			    "ip route add 192.0.2.0/24 dev lo src 10.0.0.3 table 8;"
			    "ip rule add dport 443 lookup 7; ip rule add tos 0x10 lookup 8"),
		     0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		query.remote_port = cases[i].port;
		query.tos = cases[i].tos;
		cr_expect_eq(route_lookup(&asker, &query, &answer), 0);
		cr_expect_eq(answer.local[3], cases[i].source, "%zu: .%u", i, answer.local[3]);
		cr_expect_eq(route_probe(&asker, &query, &answer), 0);
		cr_expect_eq(answer.local[3], cases[i].source, "%zu, UDP: .%u", i, answer.local[3]);
	}
}
