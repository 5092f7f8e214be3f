/* A clone must be to its connections what the original is. For every option of every level that the
 * kernel lets us change and that a connection inherits, the connection a clone accepts must read
 * the same as one the original accepted. */
#include "shim/kernel/socket_clone.h"
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NAMES 128 /* of each level */

/* The second of two: the first one tells it where to look. */
static int clone_of(int original)
{
	struct socket_difference difference = {0};
	int first = socket_clone(original, &difference);

	if (first < 0)
		return first;
	int second = socket_clone(original, &difference);
	close(first);
	return second;
}

static int family;

/* Loopback of its own: two addresses, all privileges. */
static void start(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};

	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET))
		cr_skip_test("no network namespace can be had here");
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	cr_assert_eq(ioctl(fd, SIOCSIFFLAGS, &request), 0);
	close(fd);
	family = AF_INET;
}

TestSuite(socket_clone, .init = start, .timeout = 60);

/* A bound socket with SO_REUSEPORT, as the group has it when it clones. */
static int bound(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int fd = socket(family, SOCK_STREAM, 0), on = 1;

	cr_assert_geq(fd, 0);
	cr_assert_eq(family == AF_INET ? bind(fd, (void *)&in, sizeof(in))
				       : bind(fd, (void *)&in6, sizeof(in6)),
		     0);
	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
	return fd;
}

static int connect_to(int listener)
{
	struct socket_address address;
	struct linger reset = {.l_onoff = 1};
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	socket_local(listener, &address);
	if (connect(fd, &address.any, address.length) && errno != EINPROGRESS)
		cr_assert_fail("connect: %d", errno);
	return fd;
}

/* The connection a listening socket accepts; -1 if none comes. */
static int accepted(int listener, int *client)
{
	struct pollfd wait = {.fd = listener, .events = POLLIN};

	*client = connect_to(listener);
	if (poll(&wait, 1, 500) != 1)
		return -1;
	return accept(listener, NULL, NULL);
}

struct value {
	socklen_t length;
	char bytes[128];
};

static struct value read_option(int fd, int level, int name)
{
	struct value value = {.length = sizeof(value.bytes)};

	if (fd < 0 || getsockopt(fd, level, name, value.bytes, &value.length))
		value.length = 0;
	return value;
}

static bool same(const struct value *a, const struct value *b)
{
	return a->length == b->length && !memcmp(a->bytes, b->bytes, a->length);
}

static struct value of_connection(int listener, int level, int name)
{
	int client, connection = accepted(listener, &client);
	struct value value = read_option(connection, level, name);

	close(client);
	close(connection);
	return value;
}

/* What no TCP connection shows, by its number as headers differ in what they know. */
static const struct {
	int level, name;
} left_out[] = {
	/* The group's own business, or no option at all. */
	{SOL_SOCKET, SO_REUSEPORT},
	{SOL_SOCKET, SO_INCOMING_CPU},
	{SOL_SOCKET, SO_GET_FILTER},
	{IPPROTO_TCP, TCP_REPAIR},
	{IPPROTO_TCP, TCP_QUICKACK},
	/* For who connects. */
	{IPPROTO_IP, 24 /* IP_BIND_ADDRESS_NO_PORT */},
	{IPPROTO_IP, 51 /* IP_LOCAL_PORT_RANGE */},
	{IPPROTO_TCP, 30 /* TCP_FASTOPEN_CONNECT */},
	{IPPROTO_IPV6, 72 /* IPV6_ADDR_PREFERENCES */},
	/* Of datagrams, raw sockets and multicast; kernel debugging. */
	{SOL_SOCKET, SO_DEBUG},
	{SOL_SOCKET, SO_BROADCAST},
	{SOL_SOCKET, SO_NO_CHECK},
	{SOL_SOCKET, 40 /* SO_RXQ_OVFL */},
	{SOL_SOCKET, 41 /* SO_WIFI_STATUS */},
	{SOL_SOCKET, 43 /* SO_NOFCS */},
	{SOL_SOCKET, 75 /* SO_RCVMARK */},
	{SOL_SOCKET, 82 /* SO_RCVPRIORITY */},
	{IPPROTO_IP, 6 /* IP_RECVOPTS */},
	{IPPROTO_IP, 7 /* IP_RETOPTS */},
	{IPPROTO_IP, 18 /* IP_PASSSEC */},
	{IPPROTO_IP, 20 /* IP_RECVORIGDSTADDR */},
	{IPPROTO_IP, 23 /* IP_CHECKSUM */},
	{IPPROTO_IP, 26 /* IP_RECVERR_RFC4884 */},
	{IPPROTO_IP, 34 /* IP_MULTICAST_LOOP */},
	{IPPROTO_IP, 49 /* IP_MULTICAST_ALL */},
	{IPPROTO_IPV6, 19 /* IPV6_MULTICAST_LOOP */},
	{IPPROTO_IPV6, 29 /* IPV6_MULTICAST_ALL */},
	{IPPROTO_IPV6, 30 /* IPV6_ROUTER_ALERT_ISOLATE */},
	{IPPROTO_IPV6, 31 /* IPV6_RECVERR_RFC4884 */},
	{IPPROTO_IPV6, 60 /* IPV6_RECVPATHMTU */},
	{IPPROTO_IPV6, 74 /* IPV6_RECVORIGDSTADDR */},
	{IPPROTO_IPV6, 77 /* IPV6_RECVFRAGSIZE */},
};

static bool is_left_out(int level, int name)
{
	for (unsigned i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++)
		if (left_out[i].level == level && left_out[i].name == name)
			return true;
	return false;
}

/* Sets the option on a socket to something it was not. */
static bool change(int fd, int level, int name)
{
	static const int values[] = {1, 0, 2, 10, 100, 1000, 20000};
	struct value before = read_option(fd, level, name);

	for (unsigned i = 0; before.length && i < sizeof(values) / sizeof(values[0]); i++) {
		if (setsockopt(fd, level, name, &values[i], sizeof(int)))
			continue;
		struct value after = read_option(fd, level, name);
		if (!same(&before, &after))
			return true;
	}
	return false;
}

static int number_in(const struct value *value)
{
	int number = 0;

	memcpy(&number, value->bytes, sizeof(number));
	return number;
}

/* Whether a connection of the clone reads the same as one of the original, which has the option. */
static void compare(int original, int level, int name, unsigned *inherited)
{
	int plain = bound();

	listen(plain, 8);
	listen(original, 8);
	struct value usual = of_connection(plain, level, name);
	struct value wanted = of_connection(original, level, name);
	struct value set = read_option(original, level, name);
	int clone = clone_of(original);
	cr_assert_geq(clone, 0, "level %d, option %d: error %d", level, name, -clone);
	struct value cloned = read_option(clone, level, name);
	close(original);
	listen(clone, 8);
	struct value got = of_connection(clone, level, name);
	if (!same(&usual, &wanted)) {
		++*inherited;
		cr_expect(same(&wanted, &got),
			  "level %d, option %d: %d on a connection instead of %d", level, name,
			  number_in(&got), number_in(&wanted));
		cr_expect(same(&set, &cloned), "level %d, option %d: not on the clone", level,
			  name);
	}
	close(clone);
	close(plain);
}

static void compare_all(void)
{
	static const int levels[] = {SOL_SOCKET, IPPROTO_IP, IPPROTO_TCP, IPPROTO_IPV6};
	unsigned inherited = 0;

	for (int l = 0; l < (family == AF_INET ? 3 : 4); l++) {
		for (int name = 1; name < NAMES; name++) {
			int original = bound();
			if (!is_left_out(levels[l], name) && change(original, levels[l], name))
				compare(original, levels[l], name, &inherited);
			close(original);
		}
	}
	cr_expect_geq(inherited, 30, "only %u options were looked at", inherited);
}

Test(socket_clone, every_option_ipv4)
{
	compare_all();
}

Test(socket_clone, every_option_ipv6)
{
	family = AF_INET6;
	compare_all();
}

static void compare_one(int level, int name, const void *value, socklen_t length)
{
	int original = bound();
	unsigned inherited = 0;

	cr_assert_eq(setsockopt(original, level, name, value, length), 0, "option %d", name);
	compare(original, level, name, &inherited);
	cr_expect_eq(inherited, 1, "option %d", name);
}

Test(socket_clone, options_that_are_no_numbers)
{
	compare_one(SOL_SOCKET, SO_LINGER, &(struct linger){1, 7}, sizeof(struct linger));
	compare_one(SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){3, 0}, sizeof(struct timeval));
	compare_one(SOL_SOCKET, SO_SNDTIMEO, &(struct timeval){4, 0}, sizeof(struct timeval));
	compare_one(SOL_SOCKET, SO_BINDTODEVICE, "lo", 3);
	compare_one(SOL_SOCKET, SO_MAX_PACING_RATE, &(uint64_t){1000000}, sizeof(uint64_t));
	compare_one(IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
}

/* --- what shows otherwise than by reading an option --------------------------------------------
 */

static int listening_clone(int original)
{
	int clone = clone_of(original);

	cr_assert_geq(clone, 0);
	cr_assert_eq(listen(clone, 8), 0);
	close(original);
	return clone;
}

Test(socket_clone, itself)
{
	int original = bound(), clone = clone_of(original);
	struct socket_address theirs, ours;

	cr_assert_geq(clone, 0);
	cr_expect(fcntl(clone, F_GETFL) & O_NONBLOCK);
	cr_expect(fcntl(clone, F_GETFD) & FD_CLOEXEC);
	cr_expect_eq(socket_get_int(clone, SOL_SOCKET, SO_REUSEPORT, 0), 1);
	cr_expect_not(socket_is_listening(clone));
	cr_expect(socket_is_tcp(clone));
	socket_local(original, &theirs);
	socket_local(clone, &ours);
	cr_expect(socket_address_equal(&theirs, &ours));
	cr_expect_neq(socket_cookie(clone), socket_cookie(original));
}

Test(socket_clone, deferred_accept)
{
	int original = bound(), seconds = 5, client;
	struct pollfd wait = {.events = POLLIN};

	setsockopt(original, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds));
	wait.fd = listening_clone(original);
	client = connect_to(wait.fd);
	cr_expect_eq(poll(&wait, 1, 100), 0, "no data, no connection");
	cr_assert_eq(send(client, "x", 1, 0), 1);
	cr_expect_eq(poll(&wait, 1, 500), 1);
}

Test(socket_clone, saved_syn)
{
	int original = bound(), on = 1, client;
	char syn[256];
	socklen_t length = sizeof(syn);

	setsockopt(original, IPPROTO_TCP, TCP_SAVE_SYN, &on, sizeof(on));
	int connection = accepted(listening_clone(original), &client);
	cr_assert_eq(getsockopt(connection, IPPROTO_TCP, TCP_SAVED_SYN, syn, &length), 0);
	cr_expect_gt(length, 40);
}

Test(socket_clone, fast_open)
{
	int original = bound(), length_of_queue = 7;
	char key[16] = "sixteen letters";
	struct value theirs, ours;

	cr_assert_eq(setsockopt(original, IPPROTO_TCP, TCP_FASTOPEN, &length_of_queue, 4), 0);
	cr_assert_eq(setsockopt(original, IPPROTO_TCP, TCP_FASTOPEN_KEY, key, sizeof(key)), 0);
	theirs = read_option(original, IPPROTO_TCP, TCP_FASTOPEN_KEY);
	int clone = listening_clone(original);
	ours = read_option(clone, IPPROTO_TCP, TCP_FASTOPEN_KEY);
	cr_expect(theirs.length && same(&theirs, &ours), "a cookie of one holds at the other");
	cr_expect_eq(socket_get_int(clone, IPPROTO_TCP, TCP_FASTOPEN, 0), 7);
}

Test(socket_clone, ipv6_and_ipv4_in_one)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	family = AF_INET6;
	for (int only = 0; only < 2; only++) {
		int fd = socket(AF_INET6, SOCK_STREAM, 0), on = 1;
		struct socket_address address;
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only));
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
		cr_assert_eq(bind(fd, (void *)&any, sizeof(any)), 0);
		socket_local(fd, &address);
		int clone = listening_clone(fd), client = socket(AF_INET, SOCK_STREAM, 0);
		in.sin_port = htons(socket_port(&address));
		cr_expect_eq(connect(client, (void *)&in, sizeof(in)), only ? -1 : 0);
		close(client);
		close(clone);
	}
}

Test(socket_clone, buffers)
{
	static const struct {
		int name, force;
		const char *limit;
	} buffers[] = {{SO_SNDBUF, SO_SNDBUFFORCE, "/proc/sys/net/core/wmem_max"},
		       {SO_RCVBUF, SO_RCVBUFFORCE, "/proc/sys/net/core/rmem_max"}};

	for (int b = 0; b < 2; b++) {
		int limit = 0, usual = socket_get_int(bound(), SOL_SOCKET, buffers[b].name, 0);
		FILE *file = fopen(buffers[b].limit, "r");
		cr_assert(file && fscanf(file, "%d", &limit) == 1);
		fclose(file);
		const int sizes[] = {30000, limit * 4};
		for (int s = 0; s < 2; s++) {
			int original = bound();
			cr_assert_eq(setsockopt(original, SOL_SOCKET,
						s ? buffers[b].force : buffers[b].name, &sizes[s],
						4),
				     0);
			int wanted = socket_get_int(original, SOL_SOCKET, buffers[b].name, 0),
			    client;
			cr_assert_neq(wanted, usual);
			int clone = listening_clone(original),
			    connection = accepted(clone, &client);
			cr_expect_eq(socket_get_int(clone, SOL_SOCKET, buffers[b].name, 0), wanted);
			cr_expect_eq(socket_get_int(connection, SOL_SOCKET, buffers[b].name, 0),
				     wanted);
		}
		/* One that nobody set goes on growing by itself. */
		int clone = listening_clone(bound()),
		    locks = socket_get_int(clone, SOL_SOCKET, 72, 0);
		cr_expect_eq(locks & 3, 0, "SO_BUF_LOCK is %d", locks);
	}
}

/* --- filters ------------------------------------------------------------------------------------
 */

static void attach(int fd, uint32_t verdict)
{
	struct sock_filter filter[] = {{BPF_RET | BPF_K, 0, 0, verdict}};
	struct sock_fprog program = {.len = 1, .filter = filter};

	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)), 0);
}

Test(socket_clone, a_filter_filters)
{
	struct pollfd wait = {.events = POLLIN};
	int original = bound();

	attach(original, 0);
	wait.fd = listening_clone(original);
	connect_to(wait.fd);
	cr_expect_eq(poll(&wait, 1, 100), 0, "the filter drops every packet");

	original = bound();
	attach(original, ~0u);
	wait.fd = listening_clone(original);
	connect_to(wait.fd);
	cr_expect_eq(poll(&wait, 1, 500), 1);
}

Test(socket_clone, the_longest_filter)
{
	static struct sock_filter filter[512], back[512];
	struct sock_fprog program = {.len = 512, .filter = filter};
	int original = bound();
	socklen_t length = 512;

	for (unsigned i = 0; i < 512; i++)
		filter[i] = (struct sock_filter){BPF_LD | BPF_IMM, 0, 0, i};
	filter[511] = (struct sock_filter){BPF_RET | BPF_K, 0, 0, ~0u};
	cr_assert_eq(setsockopt(original, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)),
		     0);
	int clone = clone_of(original);
	cr_assert_geq(clone, 0, "error %d", -clone);
	cr_assert_eq(getsockopt(clone, SOL_SOCKET, SO_GET_FILTER, back, &length), 0);
	cr_expect_eq(length, 512);
	cr_expect_arr_eq(back, filter, sizeof(filter));
}

static int count_descriptors(void)
{
	int count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* It cannot be read back, so a clone would let through what the original drops. */
Test(socket_clone, an_ebpf_filter_is_refused)
{
	struct bpf_insn drop[] = {{.code = 0xb7, .dst_reg = 0, .imm = 0}, {.code = 0x95}};
	union bpf_attr load = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
			       .insn_cnt = 2,
			       .insns = (uintptr_t)drop,
			       .license = (uintptr_t) "GPL"};
	int program = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load));

	if (program < 0)
		cr_skip_test("no eBPF program can be loaded here");
	int original = bound();
	cr_assert_eq(setsockopt(original, SOL_SOCKET, SO_ATTACH_BPF, &program, 4), 0);
	int before = count_descriptors();
	cr_expect_lt(clone_of(original), 0);
	cr_expect_eq(count_descriptors(), before);
}

Test(socket_clone, headers_of_ipv6_are_refused)
{
	/* A router alert, and its padding. */
	static const uint8_t hops[] = {0, 0, 5, 2, 0, 0, 1, 0};

	family = AF_INET6;
	int original = bound();
	if (setsockopt(original, IPPROTO_IPV6, IPV6_HOPOPTS, hops, sizeof(hops)))
		cr_skip_test("no CAP_NET_RAW here");
	int before = count_descriptors();
	cr_expect_eq(clone_of(original), -EOPNOTSUPP);
	cr_expect_eq(count_descriptors(), before);
}

/* --- refusals -----------------------------------------------------------------------------------
 */

Test(socket_clone, refused)
{
	int original = bound(), plain = socket(AF_INET, SOCK_STREAM, 0), off = 0;
	struct rlimit none = {.rlim_cur = 3, .rlim_max = 1024};

	cr_expect_eq(clone_of(-1), -EBADF);
	setsockopt(original, SOL_SOCKET, SO_REUSEPORT, &off, sizeof(off));
	listen(original, 8);
	int before = count_descriptors();
	cr_expect_eq(clone_of(original), -EADDRINUSE, "the original does not share");
	cr_expect_eq(count_descriptors(), before);
	close(plain);
	errno = 77;
	setrlimit(RLIMIT_NOFILE, &none);
	cr_expect_eq(clone_of(original), -EMFILE);
	cr_expect_eq(errno, 77, "errno is the application's");
}
