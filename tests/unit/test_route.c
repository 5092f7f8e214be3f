/* Routes: answers whole and damaged, both ways of asking on a real kernel, notices of change. */
#include "shim/kernel/netlink.h"
#include "shim/kernel/route.h"
#include "tests/unit/nic_bytes.h"
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
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
	bool links = false;

	own_namespace();
	cr_assert_eq(route_watch_open(&watch, (struct nl_buffer){room, sizeof(room)}), 0);
	cr_expect_not(route_changed(watch.route, NULL));
	add_address("lo", "127.0.0.1");
	cr_expect(route_changed(watch.route, NULL)); /* of the link, too: that went up */
	cr_expect_not(route_changed(watch.route, NULL), "told twice");
	add_address("lo", "127.0.0.2");
	cr_expect(route_changed(watch.route, &links));
	cr_expect_not(links);
	cr_assert_eq(system("ip link set lo mtu 65000"), 0);
	cr_expect(route_changed(watch.route, &links));
	cr_expect(links);
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
	bool links = false;
	cr_expect(route_changed(watch.route, &links));
	cr_expect(links, "among what was lost, for all we know");
	cr_expect_not(route_changed(watch.route, NULL));
	add_address("lo", "127.0.0.250");
	cr_expect(route_changed(watch.route, NULL), "deaf after the overflow");
	fd = watch.route;
	route_watch_close(&watch);
	cr_expect_eq(fcntl(fd, F_GETFD), -1);
}
