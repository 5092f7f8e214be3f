/* Discovery on the running kernel, in network namespaces of our own where something is changed. */
#include "shim/command/nic_knowledge.h"
#include "shim/nic/nic_glance.h"
#include "shim/nic/nic_sources.h"
#include "shim/nic/nic_work.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct nic_set set;
static struct nic_set again;
static struct nic_sources sources;
static struct policy policy;
static struct nic_work work;

static void scan(struct nic_set *into)
{
	cr_assert_gt(nic_scan(into, &policy, &sources), 0);
}

static void start(void)
{
	policy_defaults(&policy);
	nic_sources_open(&sources, &work, true);
}

static void finish(void)
{
	nic_sources_close(&sources);
}

TestSuite(nic_scan, .init = start, .fini = finish);

/* A network namespace whose own /sys is mounted, as a container has it. */
static void own_namespace(void)
{
	if (unshare(CLONE_NEWNET | CLONE_NEWNS))
		cr_skip_test("no namespace may be made here: %s", strerror(errno));
	cr_assert_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	cr_assert_eq(mount("sysfs", "/sys", "sysfs", 0, NULL), 0);
	nic_sources_close(&sources);
	nic_sources_open(&sources, &work, true);
}

static void run(const char *command)
{
	cr_assert_eq(system(command), 0, "%s", command);
}

static void load(const char *text)
{
	struct policy_source source = {.file = "p.ini", .text = text, .size = strlen(text)};

	cr_assert_eq(policy_load(&policy, &source, NULL, NULL), 0);
}

Test(nic_scan, finds_loopback)
{
	const struct nic_view *lo;

	scan(&set);
	lo = nic_by_name(&set, "lo");
	cr_assert(lo);
	cr_expect_eq(lo->ifindex, 1);
	cr_expect_eq(lo->kind, NIC_LOOPBACK);
	cr_expect_not(lo->spreads);
	cr_expect_eq(lo->spreads_not, REASON_LOOPBACK);
}

/* Runs inside servers while they are loaded: nothing is allocated, and it says the same twice. */
Test(nic_scan, deterministic_without_malloc)
{
	size_t before;

	scan(&set);
	before = mallinfo2().uordblks;
	scan(&again);
	cr_expect_eq(mallinfo2().uordblks, before);
	cr_expect_eq(set.count, again.count);
	for (unsigned i = 0; i < set.count; i++)
		cr_expect(!memcmp(&set.view[i], &again.view[i], sizeof(set.view[i])), "%s",
			  set.view[i].name);
}

Test(nic_scan, descriptors_are_closed_again)
{
	/* The lowest free number; what is above it may be in use. */
	int before = open("/dev/null", O_RDONLY);

	close(before);
	scan(&set);
	int after = open("/dev/null", O_RDONLY);
	cr_expect_eq(after, before);
	close(after);
}

/* Without netlink the names come from /proc, and the stacking from /sys. */
Test(nic_scan, without_netlink)
{
	const struct nic_view *upper;
	const struct nic_view *bridge;

	own_namespace();
	run("ip link add v0 type veth peer name v1");
	run("ip link add link v0 name mv0 type macvlan mode private");
	run("ip link add br0 type bridge && ip link set v1 master br0");
	close(sources.route);
	close(sources.generic);
	sources.route = sources.generic = -EAFNOSUPPORT;
	sources.ethtool_family = sources.netdev_family = -EAFNOSUPPORT;
	scan(&set);
	cr_expect_eq(set.count, 5);
	upper = nic_by_name(&set, "mv0");
	bridge = nic_by_name(&set, "br0");
	cr_assert(upper && bridge);
	cr_expect_eq(upper->kind, NIC_MACVLAN);
	cr_expect_eq(upper->lower[0], nic_by_name(&set, "v0")->ifindex);
	cr_expect_eq(bridge->kind, NIC_BRIDGE);
	cr_expect_eq(bridge->lower[0], nic_by_name(&set, "v1")->ifindex);
	cr_expect_eq(nic_by_name(&set, "v0")->kind, NIC_VETH);
	sources.route = sources.generic = -1;
}

/* After chroot() to an empty directory the sources opened before still answer. */
Test(nic_scan, after_chroot)
{
	char empty[] = "/tmp/rssshim-empty-XXXXXX";
	pid_t child;
	int status;

	if (geteuid())
		cr_skip_test("chroot() needs root");
	scan(&set);
	cr_assert(mkdtemp(empty));
	child = fork();
	if (!child) {
		if (chroot(empty) || chdir("/") || access("/proc", F_OK) == 0)
			_exit(2);
		_exit(nic_scan(&again, &policy, &sources) == set.count && nic_set_same(&again, &set)
			      ? 0
			      : 1);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	rmdir(empty);
	cr_expect_eq(status, 0, "status %x", status);
}

/* What systemd's RestrictAddressFamilies=AF_INET AF_INET6 does to memcached. */
static void forbid_netlink(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ, SYS_socket, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ, AF_NETLINK, 0, 1),
		BPF_STMT(BPF_RET, SECCOMP_RET_ERRNO | EAFNOSUPPORT),
		BPF_STMT(BPF_RET, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, 2, &program))
		_exit(3);
}

Test(nic_scan, address_family_filter)
{
	pid_t child;
	int status;

	scan(&set);
	child = fork();
	if (!child) {
		forbid_netlink();
		nic_sources_close(&sources);
		nic_sources_open(&sources, &work, true);
		if (sources.route != -EAFNOSUPPORT || sources.generic != -EAFNOSUPPORT)
			_exit(2);
		if (nic_scan(&again, &policy, &sources) != set.count)
			_exit(4);
		for (unsigned i = 0; i < again.count; i++)
			if (!nic_by_name(&set, again.view[i].name) ||
			    nic_by_name(&set, again.view[i].name)->kind != again.view[i].kind)
				_exit(5);
		_exit(0);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_expect_eq(status, 0, "status %x", status);
}

/* /sys is of one namespace, our sockets are of another: what /sys says is of another interface,
 * even where name and number agree. */
Test(nic_scan, sysfs_of_another_namespace)
{
	const struct nic_view *view;

	own_namespace();
	run("ip link add v0 index 77 type veth peer name v1 && ip link set v0 up");
	run("echo 3 > /sys/class/net/v0/queues/rx-0/rps_cpus");
	scan(&set);
	if (nic_by_name(&set, "v0")->arrival.rps.count < 2)
		cr_skip_test("one CPU: no RPS over two");
	/* A /sys that is mounted does not keep the namespace it shows, nor its interfaces. */
	int kept = open("/proc/self/ns/net", O_RDONLY);
	cr_assert_eq(unshare(CLONE_NEWNET), 0);
	nic_sources_close(&sources);
	nic_sources_open(&sources, &work, true);
	run("ip link add v0 index 77 type veth peer name v2");
	scan(&set);
	view = nic_by_name(&set, "v0");
	cr_assert(view);
	cr_expect_eq(view->kind, NIC_VETH);
	cr_expect_not(view->spreads);
	cr_expect_eq(view->fact[VALUE_RPS].error, -EXDEV);
	cr_expect_eq(nic_by_name(&set, "v2")->fact[VALUE_RPS].error, -ENOENT);
	close(kept);
}

Test(nic_scan, section_on_a_veth_and_what_stands_on_it)
{
	const struct nic_view *view;

	own_namespace();
	run("ip link add rss0 type veth peer name p0");
	run("ip link add link rss0 name mv0 type macvlan mode private");
	run("ip link add vx0 type vxlan id 3 dev rss0 dstport 4789");
	run("ip link set rss0 up && ip link set mv0 up");
	load("[nic rss0]\nhash_key = 6d:5a:56:da:25:5b:0e:c2:41:67:25:3d:43:a3:8f:b0:d0:ca:2b:cb\n"
	     "   ae:7b:30:b4:77:cb:2d:a3:80:30:f2:0c:6a:42:b7:3b:be:ac:01:fa\n"
	     "indirection = equal 2\nqueue_cpus = 0 1\n");
	scan(&set);
	cr_expect_str_eq(set.view[0].name, "rss0", "what the policy names comes first");
	view = nic_by_name(&set, "mv0");
	cr_assert(view);
	cr_expect(view->spreads);
	cr_expect(view->predictable[0]);
	cr_expect_eq(view->arrival.table.size, 128);
	view = nic_by_name(&set, "vx0");
	cr_expect_eq(view->kind, NIC_TUNNEL);
	cr_expect_not(view->spreads);
	cr_expect_eq(view->predictable_not[0], REASON_TUNNEL);
	view = nic_by_name(&set, "p0");
	cr_expect_not(view->spreads);
	cr_expect_eq(view->spreads_not, REASON_LOCAL_LINK);
	scan(&again);
	cr_expect(nic_set_same(&again, &set), "nothing changed");
	run("ip link set mv0 down");
	scan(&again);
	cr_expect_not(nic_set_same(&again, &set));
}

Test(nic_scan, more_interfaces_than_room)
{
	own_namespace();
	run("for i in $(seq 1 40); do ip link add d$i type ifb; done");
	scan(&set);
	cr_expect_eq(set.count, NIC_MAX);
	cr_expect_eq(set.missed, 41 - NIC_MAX);
}

/* RPS on a veth: it spreads, and a glance sees masks change that nobody announces. */
Test(nic_scan, glance)
{
	own_namespace();
	run("ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up");
	run("echo 3 > /sys/class/net/v0/queues/rx-0/rps_cpus");
	scan(&set);
	if (nic_by_name(&set, "v0")->arrival.rps.count < 2)
		cr_skip_test("one CPU: no RPS over two");
	cr_expect(nic_by_name(&set, "v0")->spreads);
	for (int i = 0; i < 3; i++)
		cr_expect_not(nic_glance(&again, &set, &policy, &sources));
	run("echo 1 > /sys/class/net/v0/queues/rx-0/rps_cpus");
	cr_expect(nic_glance(&again, &set, &policy, &sources));
	scan(&set);
	cr_expect(nic_set_same(&again, &set), "a glance says what a scan says");
	cr_expect_not(nic_by_name(&set, "v0")->spreads);
	cr_expect_not(nic_glance(&again, &set, &policy, &sources));
}

static char why[256];
static struct arrival arrival;

Test(nic_scan, arrival_for_the_command)
{
	char path[] = "/tmp/rssshim-conf-XXXXXX";
	static const char text[] =
		"[nic nosuch0]\nhash_key = 00:01:02:03:04:05:06:07:08:09:0a:0b:0c:"
		"0d:0e:0f\nindirection = equal 4\nqueue_cpus = 3 2 1 0\n";
	int fd = mkstemp(path);

	cr_assert_eq(write(fd, text, sizeof(text) - 1), (ssize_t)sizeof(text) - 1);
	cr_expect_eq(nic_arrival_load("nosuch0", path, &arrival, why, sizeof(why)), 0, "%s", why);
	cr_expect(strstr(why, "nosuch0: IPv6: "), "the key is long enough for IPv4: %s", why);
	cr_expect_eq(arrival.queue_cpu[0], 3);
	cr_expect_gt(arrival.toeplitz.words, 0);
	cr_expect_eq(nic_arrival_load("nosuch1", path, &arrival, why, sizeof(why)), -ENODEV);
	cr_expect(strstr(why, "nosuch1"));
	cr_expect_eq(nic_arrival_load("lo", NULL, &arrival, why, sizeof(why)), -ENODATA);
	cr_expect(strstr(why, "lo: "));
	cr_expect_eq(nic_arrival_load("lo", "/nonexistent", &arrival, why, sizeof(why)), -ENOENT);
	cr_assert_eq(ftruncate(fd, 0), 0);
	cr_assert_eq(pwrite(fd, "[nic x]\nhash = md5\n", 19, 0), 19);
	cr_expect_eq(nic_arrival_load("lo", path, &arrival, why, sizeof(why)), -EINVAL);
	cr_expect(strstr(why, ":2:"), "%s", why);
	close(fd);
	unlink(path);
}
