/* include/rssshim.h on the running kernel, in network namespaces of its own, against an independent
 * hash. */
#include "include/rssshim.h"
#include "shim/api/view.h"
#include "tests/unit/reference.h"
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The NIC of these tests is a veth with a policy that says how it hashes. */
#define TABLE 128
static const int16_t queue_cpu[4] = {2, 0, 3, 1};

static struct rssshim *rss;
static unsigned t0;
static struct arrival truth;

static void run(const char *command)
{
	cr_assert_eq(system(command), 0, "%s", command);
}

static void write_policy(char *path)
{
	FILE *file = fdopen(mkstemp(path), "w");

	cr_assert(file);
	fprintf(file, "[nic t0]\nhash = toeplitz\nqueue_cpus = 2 0 3 1\nhash_key = ");
	for (int i = 0; i < 40; i++)
		fprintf(file, "%s%02x", i ? ":" : "", reference_microsoft_key[i]);
	fprintf(file, "\nindirection =");
	for (int i = 0; i < TABLE; i++)
		fprintf(file, " %d", i % 4);
	fprintf(file, "\n");
	cr_assert_eq(fclose(file), 0);
}

static void start(void)
{
	char path[] = "/tmp/rssshim-api-XXXXXX";

	if (unshare(CLONE_NEWNET | CLONE_NEWNS))
		cr_skip_test("no namespace may be made here: %s", strerror(errno));
	cr_assert_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	cr_assert_eq(mount("sysfs", "/sys", "sysfs", 0, NULL), 0);
	run("ip link set lo up && ip link add t0 type veth peer name t1");
	run("ip link set t0 up && ip link set t1 up");
	run("ip addr add 10.7.0.1/24 dev t0 && ip addr add fd07::1/64 dev t0 nodad");
	run("echo 20000 29999 >/proc/sys/net/ipv4/ip_local_port_range");
	run("echo 20100-20199,25000 >/proc/sys/net/ipv4/ip_local_reserved_ports");
	t0 = if_nametoindex("t0");
	write_policy(path);
	cr_assert_eq(rssshim_open(&rss, path), 0);
	unlink(path);
	arrival_fill(&truth, reference_microsoft_key, 40, TABLE, 4, 4);
	memcpy(truth.queue_cpu, queue_cpu, sizeof(queue_cpu));
}

static void finish(void)
{
	rssshim_close(rss);
}

TestSuite(api, .init = start, .fini = finish);

/* A flow in the three forms that are needed. */
struct example {
	struct flow flow;
	struct sockaddr_storage remote, local;
	struct rssshim_flow asked;
};

static void to_address(struct sockaddr_storage *out, int family, const uint8_t *bytes,
		       uint16_t port)
{
	struct sockaddr_in *in = (struct sockaddr_in *)out;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	out->ss_family = (sa_family_t)family;
	if (family == AF_INET6) {
		memcpy(&in6->sin6_addr, bytes, 16);
		in6->sin6_port = htons(port);
	} else {
		memcpy(&in->sin_addr, bytes, 4);
		in->sin_port = htons(port);
	}
}

static void example_make(struct example *example, uint64_t *state, int family)
{
	struct flow *flow = &example->flow;

	*flow = random_flow(state, family);
	flow->remote[0] = 0x20; /* neither loopback nor multicast, in either family */
	flow->local[0] = 0x20;
	to_address(&example->remote, family, flow->remote, flow->remote_port);
	to_address(&example->local, family, flow->local, flow->local_port);
	example->asked = (struct rssshim_flow){t0, (struct sockaddr *)&example->remote,
					       (struct sockaddr *)&example->local};
}

Test(api, the_cpu_of_a_flow)
{
	struct rssshim_place place;
	struct example example;
	uint64_t state = 1;

	for (int i = 0; i < 4000; i++) {
		example_make(&example, &state, i % 2 ? AF_INET6 : AF_INET);
		uint32_t hash = reference_hash(&truth.hash, &example.flow);
		int cpu = reference_cpu(&truth, hash);

		cr_assert_eq(rssshim_flow_cpu(rss, &example.asked, &place), cpu);
		cr_assert_eq(rssshim_flow_cpu(rss, &example.asked, NULL), cpu);
		cr_assert(place.hashed);
		cr_assert_eq(place.hash, hash);
		cr_assert_eq(place.bucket, (int)(hash % TABLE));
		cr_assert_eq(place.queue, (int)(hash % 4));
		cr_assert_eq(place.cpu, cpu);
	}
}

Test(api, an_ipv4_mapped_address_is_ipv4)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	uint8_t remote[16], local[16];
	struct example example;
	uint64_t state = 2;

	example_make(&example, &state, AF_INET);
	int cpu = rssshim_flow_cpu(rss, &example.asked, NULL);
	memcpy(remote, mapped, 12);
	memcpy(local, mapped, 12);
	memcpy(remote + 12, example.flow.remote, 4);
	memcpy(local + 12, example.flow.local, 4);
	to_address(&example.remote, AF_INET6, remote, example.flow.remote_port);
	cr_expect_eq(rssshim_flow_cpu(rss, &example.asked, NULL), cpu, "local is plain IPv4");
	to_address(&example.local, AF_INET6, local, example.flow.local_port);
	cr_expect_eq(rssshim_flow_cpu(rss, &example.asked, NULL), cpu);
}

Test(api, what_cannot_be_answered)
{
	static const uint8_t loopback[4] = {127, 0, 0, 1};
	struct rssshim_place place;
	struct example example, other;
	uint16_t port;
	uint64_t state = 3;

	example_make(&example, &state, AF_INET);
	example.asked.nic = 9999;
	cr_expect_eq(rssshim_flow_cpu(rss, &example.asked, &place), -ENODEV);
	cr_expect_eq(place.cpu, -1);
	cr_expect_eq(rssshim_ports(rss, &example.asked, 0, 0, &port, 1), -ENODEV);
	example.asked.nic = if_nametoindex("t1"); /* no section describes it */
	cr_expect_eq(rssshim_flow_cpu(rss, &example.asked, NULL), -ENODATA);
	cr_expect_eq(rssshim_ports(rss, &example.asked, 0, 0, &port, 1), -ENODATA);
	example.asked.nic = t0;
	cr_expect_eq(rssshim_ports(rss, &example.asked, -1, 0, &port, 1), -EINVAL);
	cr_expect_eq(rssshim_ports(rss, &example.asked, 7, 0, &port, 1), 0, "no queue there");
	example_make(&other, &state, AF_INET6);
	example.asked.local = (struct sockaddr *)&other.local;
	cr_expect_eq(rssshim_flow_cpu(rss, &example.asked, NULL), -EINVAL, "two families");
	example_make(&example, &state, AF_INET);
	to_address(&example.remote, AF_INET, loopback, 80);
	cr_expect_eq(rssshim_flow_cpu(rss, &example.asked, NULL), -EINVAL, "loopback");
	/* As a source, too; and no address at all. */
	for (int i = 0; i < 4; i++) {
		uint8_t family = i % 2 ? AF_INET6 : AF_INET;
		uint8_t unseen[16] = {0};

		if (i >= 2)
			memcpy(unseen, i == 2 ? loopback : in6addr_loopback.s6_addr,
			       i == 2 ? 4 : 16);
		example_make(&example, &state, family);
		to_address(&example.local, family, unseen, 80);
		cr_expect_eq(rssshim_flow_cpu(rss, &example.asked, NULL), -EINVAL, "%d", i);
		cr_expect_eq(rssshim_ports(rss, &example.asked, 0, 0, &port, 1), -EINVAL, "%d", i);
	}
}

/* A child of fork() may ask, whatever another thread was at when it was forked. */
Test(api, forked_in_the_midst_of_a_refresh)
{
	struct rssshim_nic facts;
	int status;

	cr_assert_eq(pthread_rwlock_wrlock(&rss->in_use), 0);
	pid_t child = fork();
	if (!child) {
		alarm(10);
		_exit(rssshim_nic(rss, t0, &facts) || rssshim_refresh(rss) != -ECHILD);
	}
	pthread_rwlock_unlock(&rss->in_use);
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_expect_eq(status, 0, "status %x", status);
	cr_expect_eq(rssshim_nic(rss, t0, &facts), 0);
}

static bool is_reserved(unsigned port)
{
	return (port >= 20100 && port <= 20199) || port == 25000;
}

Test(api, all_ports_of_each_cpu)
{
	static uint16_t ports[65536];
	static int16_t cpus[65536];
	static bool seen[65536];
	struct example example;
	uint64_t state = 4;

	for (int i = 0; i < 8; i++) {
		int cpu = i % 4, wanted = 0;

		example_make(&example, &state, i < 4 ? AF_INET : AF_INET6);
		reference_ports(cpus, &truth, example.flow);
		for (unsigned port = 20000; port <= 29999; port++)
			wanted += cpus[port] == cpu && !is_reserved(port);
		memset(seen, 0, sizeof(seen));
		cr_assert_eq(rssshim_ports(rss, &example.asked, cpu, 77u * i, ports, 65536),
			     wanted);
		for (int n = 0; n < wanted; n++) {
			cr_assert(ports[n] >= 20000 && ports[n] <= 29999);
			cr_assert_not(is_reserved(ports[n]));
			cr_assert_not(seen[ports[n]], "twice");
			cr_assert_eq(cpus[ports[n]], cpu);
			seen[ports[n]] = true;
		}
	}
}

Test(api, some_ports_from_somewhere)
{
	uint16_t three[4] = {0}, others[4] = {0};
	struct example example;
	uint64_t state = 5;

	example_make(&example, &state, AF_INET);
	cr_expect_eq(rssshim_ports(rss, &example.asked, 1, 10, three, 3), 3);
	cr_expect_eq(three[3], 0, "not more than was asked for");
	cr_expect_eq(rssshim_ports(rss, &example.asked, 1, 500, others, 3), 3);
	cr_expect_neq(three[0], others[0]);
	cr_expect_eq(rssshim_ports(rss, &example.asked, 1, UINT32_MAX, others, 3), 3);
}

/* Strict seccomp: read, write and exit are left, anything else kills. */
Test(api, questions_make_no_system_call)
{
	struct rssshim_queue queues[8];
	struct rssshim_nic facts;
	struct example example;
	uint16_t ports[16];
	uint64_t state = 6;
	int status, cpus[8];
	unsigned nics[8];

	example_make(&example, &state, AF_INET);
	pid_t child = fork();
	if (!child) {
		if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT))
			syscall(SYS_exit, 2);
		bool right = rssshim_flow_cpu(rss, &example.asked, NULL) >= 0 &&
			     rssshim_ports(rss, &example.asked, 1, 0, ports, 16) == 16 &&
			     rssshim_nics(rss, nics, 8) == 3 && !rssshim_nic(rss, t0, &facts) &&
			     rssshim_queues(rss, t0, queues, 8) == 4 &&
			     rssshim_cpus(rss, t0, cpus, 8) == 4;
		syscall(SYS_exit, right ? 0 : 1);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert(WIFEXITED(status), "killed by signal %d", WTERMSIG(status));
	cr_expect_eq(WEXITSTATUS(status), 0);
}

Test(api, facts_of_a_nic)
{
	struct rssshim_queue queues[4] = {0};
	struct rssshim_nic facts;
	unsigned nics[3] = {0};
	int cpus[4];

	cr_expect_eq(rssshim_nics(rss, NULL, 0), 3);
	cr_expect_eq(rssshim_nics(rss, nics, 3), 3);
	cr_expect_eq(nics[0], t0, "the one that spreads comes first");
	cr_expect_eq(rssshim_nic(rss, 9999, &facts), -ENODEV);
	cr_assert_eq(rssshim_nic(rss, t0, &facts), 0);
	cr_expect_str_eq(facts.name, "t0");
	cr_expect_eq(facts.index, t0);
	cr_expect_eq(facts.rx_queues, 4);
	cr_expect_eq(facts.table_size, TABLE);
	cr_expect(facts.up && facts.multi_queue && facts.spreads && !facts.follows_flow);
	cr_expect(facts.predictable[0] && facts.predictable[1]);
	cr_expect(facts.hashes_ports[0] && facts.hashes_ports[1]);
	cr_expect_null(facts.spreads_not);
	cr_expect_null(facts.predictable_not[0]);
	cr_expect_eq(rssshim_queues(rss, t0, queues, 3), 4);
	cr_expect_eq(queues[0].rx_cpu, 2);
	cr_expect_eq(queues[1].rx_cpu, 0);
	cr_expect_eq(queues[2].rx_cpu, 3);
	cr_expect_eq(queues[3].rx_cpu, 0, "not written");
	cr_expect_eq(rssshim_queues(rss, 9999, queues, 4), -ENODEV);
	cr_expect_eq(rssshim_cpus(rss, t0, cpus, 4), 4);
	for (int i = 0; i < 4; i++)
		cr_expect_eq(cpus[i], i);
	cr_assert_eq(rssshim_nic(rss, 1, &facts), 0);
	cr_expect_str_eq(facts.name, "lo");
	cr_expect_not(facts.spreads);
	cr_expect_not_null(facts.spreads_not);
	cr_expect_not_null(facts.predictable_not[0]);
}

Test(api, refresh_sees_what_changed)
{
	static uint16_t ports[65536];
	struct rssshim_nic facts;
	struct example example;
	uint64_t state = 7;

	rssshim_refresh(rss); /* what the kernel still had to say of the set-up */
	cr_expect_eq(rssshim_refresh(rss), 0);
	run("echo 40000 40999 >/proc/sys/net/ipv4/ip_local_port_range");
	cr_expect_eq(rssshim_refresh(rss), 1);
	example_make(&example, &state, AF_INET);
	int count = rssshim_ports(rss, &example.asked, 1, 0, ports, 65536);
	cr_expect_gt(count, 200);
	for (int i = 0; i < count; i++)
		cr_assert(ports[i] >= 40000 && ports[i] <= 40999);
	run("ip link set t0 down");
	cr_expect_eq(rssshim_refresh(rss), 1);
	cr_assert_eq(rssshim_nic(rss, t0, &facts), 0);
	cr_expect_not(facts.up);
	run("ip link del t0");
	cr_expect_eq(rssshim_refresh(rss), 1);
	cr_expect_eq(rssshim_nic(rss, t0, &facts), -ENODEV);
	cr_expect_eq(rssshim_nics(rss, NULL, 0), 1);
}

static atomic_bool done;

static void *ask(void *wrong)
{
	struct example example[8];
	uint64_t state = 8;
	int cpu[8];

	for (int i = 0; i < 8; i++) {
		example_make(&example[i], &state, i % 2 ? AF_INET6 : AF_INET);
		cpu[i] = reference_cpu(&truth, reference_hash(&truth.hash, &example[i].flow));
	}
	while (!done)
		for (int i = 0; i < 8; i++) {
			uint16_t port;

			if (rssshim_flow_cpu(rss, &example[i].asked, NULL) != cpu[i] ||
			    rssshim_ports(rss, &example[i].asked, cpu[i], (uint32_t)state++, &port,
					  1) != 1)
				++*(atomic_int *)wrong;
		}
	return NULL;
}

Test(api, threads_ask_during_refreshes)
{
	atomic_int wrong = 0;
	pthread_t threads[3];

	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, ask, &wrong);
	for (int i = 0; i < 50; i++) {
		run(i % 2 ? "ip addr del 10.8.0.1/24 dev t0" : "ip addr add 10.8.0.1/24 dev t0");
		cr_assert_eq(rssshim_refresh(rss), 1);
	}
	done = true;
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	cr_expect_eq(wrong, 0);
}

static void address(struct sockaddr_storage *out, const char *text)
{
	uint8_t bytes[16];
	int family = strchr(text, ':') ? AF_INET6 : AF_INET;

	cr_assert_eq(inet_pton(family, text, bytes), 1);
	to_address(out, family, bytes, 443);
}

static void route(const char *remote_text, const char *source, unsigned expected_nic)
{
	struct sockaddr_storage remote, local = {0}, expected;
	unsigned nic = 9999;

	address(&remote, remote_text);
	cr_assert_eq(rssshim_route(rss, (struct sockaddr *)&remote, &local, &nic), 0, "%s",
		     remote_text);
	cr_expect_eq(nic, expected_nic, "%s", remote_text);
	address(&expected, source);
	if (expected.ss_family == AF_INET6)
		((struct sockaddr_in6 *)&expected)->sin6_port = 0;
	else
		((struct sockaddr_in *)&expected)->sin_port = 0;
	cr_expect(!memcmp(&local, &expected, sizeof(expected)), "%s", remote_text);
}

Test(api, routes)
{
	struct sockaddr_storage remote, local = {0};
	unsigned nic = 0;

	route("10.7.0.9", "10.7.0.1", t0);
	route("fd07::9", "fd07::1", t0);
	route("::ffff:10.7.0.9", "::ffff:10.7.0.1", t0);
	route("10.7.0.1", "10.7.0.1", 0);
	address(&remote, "192.0.2.1");
	cr_expect_eq(rssshim_route(rss, (struct sockaddr *)&remote, &local, &nic), -ENETUNREACH);
	address(&remote, "127.0.0.1");
	cr_expect_eq(rssshim_route(rss, (struct sockaddr *)&remote, &local, &nic), -EINVAL);
	run("ip addr add 10.7.0.2/24 dev t0");
	address(&remote, "10.7.0.9");
	address(&local, "10.7.0.2");
	cr_expect_eq(rssshim_route(rss, (struct sockaddr *)&remote, &local, &nic), 0);
	cr_expect_eq(nic, t0);
	cr_expect_eq(((struct sockaddr_in *)&local)->sin_port, htons(443), "the caller's, kept");
}

Test(api, a_child_asks_but_does_not_look)
{
	struct sockaddr_storage remote, local = {0};
	struct example example;
	uint64_t state = 9;
	unsigned nic;
	int status;

	address(&remote, "10.7.0.9");
	example_make(&example, &state, AF_INET);
	pid_t child = fork();
	if (!child) {
		bool right =
			rssshim_flow_cpu(rss, &example.asked, NULL) >= 0 &&
			rssshim_refresh(rss) == -ECHILD &&
			rssshim_route(rss, (struct sockaddr *)&remote, &local, &nic) == -ECHILD;
		_exit(right ? 0 : 1);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_expect(WIFEXITED(status) && !WEXITSTATUS(status));
}

Test(api, the_cpu_of_a_descriptor)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(to);
	int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
	int ends[2];

	cr_assert_eq(pipe(ends), 0);
	cr_assert_eq(bind(listener, (struct sockaddr *)&to, sizeof(to)), 0);
	cr_assert_eq(listen(listener, 1), 0);
	cr_assert_eq(getsockname(listener, (struct sockaddr *)&to, &length), 0);
	cr_expect_eq(rssshim_fd_cpu(client), -EAGAIN, "nothing came in yet");
	cr_assert_eq(connect(client, (struct sockaddr *)&to, sizeof(to)), 0);
	int accepted = accept(listener, NULL, NULL);
	int cpu = -1;
	length = sizeof(cpu);
	cr_assert_eq(getsockopt(accepted, SOL_SOCKET, SO_INCOMING_CPU, &cpu, &length), 0);
	cr_expect_geq(cpu, 0);
	cr_expect_eq(rssshim_fd_cpu(accepted), cpu);
	errno = 0;
	cr_expect_eq(rssshim_fd_cpu(9999), -EBADF);
	cr_expect_eq(rssshim_fd_cpu(ends[0]), -ENOTSOCK);
	cr_expect_eq(errno, 0);
}

static unsigned first_free(void)
{
	int fd = dup(0);

	close(fd);
	return (unsigned)fd;
}

static unsigned descriptors(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 20000; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

Test(api, descriptors_out_of_the_way_and_gone_at_the_end)
{
	unsigned lowest = first_free(), before = descriptors();
	struct rssshim *another;

	cr_assert_eq(rssshim_open(&another, NULL), 0);
	cr_expect_eq(first_free(), lowest);
	cr_expect_eq(descriptors(), before + 7);
	rssshim_close(another);
	cr_expect_eq(descriptors(), before);
	rssshim_close(NULL);
}

Test(api, a_policy_that_is_wrong_or_missing)
{
	char path[] = "/tmp/rssshim-api-XXXXXX";
	struct rssshim *none;
	int fd = mkstemp(path);

	cr_assert_eq(write(fd, "[nic t0]\nhash = maybe\n", 22), 22);
	close(fd);
	cr_expect_eq(rssshim_open(&none, path), -EINVAL);
	cr_expect_null(none);
	unlink(path);
	cr_expect_eq(rssshim_open(&none, path), -ENOENT);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The best of many short runs: the others had the CPU taken from them. */
static double best_ns(int family)
{
	static struct example example[256];
	uint64_t state = 10;
	double best = 1e9;

	for (int i = 0; i < 256; i++)
		example_make(&example[i], &state, family);
	for (int round = 0; round < 200; round++) {
		uint64_t begin = now_ns();

		for (int i = 0; i < 256; i++)
			cr_assert_geq(rssshim_flow_cpu(rss, &example[i].asked, NULL), 0);
		double each = (double)(now_ns() - begin) / 256;
		if (each < best)
			best = each;
	}
	return best;
}

Test(api, a_question_takes_less_than_100_ns)
{
#ifdef __SANITIZE_ADDRESS__
	cr_skip_test("a sanitizer's code is timed, not the library's");
#endif
	double ipv4 = best_ns(AF_INET), ipv6 = best_ns(AF_INET6);

	cr_log_info("ns a question: IPv4 %.1f, IPv6 %.1f", ipv4, ipv6);
	cr_expect_lt(ipv4, 100);
	cr_expect_lt(ipv6, 100);
}
