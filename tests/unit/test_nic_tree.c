/* Small files of /proc and /sys: formats, RPS, RFS, XPS, CPU topology. */
#include "shim/kernel/procfs.h"
#include "shim/kernel/topology.h"
#include "shim/nic/nic_read.h"
#include "tests/unit/nic_tree.h"
#include <criterion/criterion.h>

static struct tree tree;
static struct nic_view view;

static void set_up(void)
{
	tree_make(&tree);
	memset(&view, 0, sizeof(view));
	strcpy(view.name, "eth0");
	memset(view.arrival.queue_cpu, -1, sizeof(view.arrival.queue_cpu));
	memset(view.xps_queue, -1, sizeof(view.xps_queue));
	view.kind = NIC_PHYSICAL;
	view.arrival.queue_count = 4;
	nic_known(&view, VALUE_QUEUES, ORIGIN_IOCTL);
}

static void tear_down(void)
{
	tree_remove(&tree);
}

TestSuite(nic_tree, .init = set_up, .fini = tear_down);

/* Whether the text parses to these CPUs, each with a blank before; NULL: whether it does not parse.
 */
static bool parses(bool (*parse)(const char *, size_t, cpu_set_t *), const char *text,
		   const char *expected)
{
	char found[256] = "";
	cpu_set_t cpus;

	if (!parse(text, strlen(text), &cpus)) {
		cr_expect_eq(CPU_COUNT(&cpus), 0);
		return !expected;
	}
	for (int cpu = cpu_set_next(&cpus, 0); cpu >= 0; cpu = cpu_set_next(&cpus, cpu + 1))
		sprintf(found + strlen(found), " %d", cpu);
	return expected && !strcmp(found, expected);
}

Test(nic_tree, cpu_lists)
{
	cr_expect(parses(cpu_list_parse, "0-3,8\n", " 0 1 2 3 8"));
	cr_expect(parses(cpu_list_parse, "7", " 7"));
	cr_expect(parses(cpu_list_parse, "\n", ""));
	cr_expect(parses(cpu_list_parse, "", ""));
	cr_expect(parses(cpu_list_parse, "1022-2000\n", " 1022 1023"));
	cr_expect(parses(cpu_list_parse, "5,1\n", " 1 5"));
	cr_expect(parses(cpu_list_parse, "3-1\n", NULL));
	cr_expect(parses(cpu_list_parse, "1,\n", NULL));
	cr_expect(parses(cpu_list_parse, "1-\n", NULL));
	cr_expect(parses(cpu_list_parse, "a\n", NULL));
	cr_expect(parses(cpu_list_parse, "1;2\n", NULL));
	cr_expect(parses(cpu_list_parse, "-3\n", NULL));
	cr_expect(parses(cpu_list_parse, "99999999999999999999\n", NULL));
	cr_expect(parses(cpu_list_parse, "(null)\n", NULL));
}

Test(nic_tree, cpu_masks)
{
	cr_expect(parses(cpu_mask_parse, "f\n", " 0 1 2 3"));
	cr_expect(parses(cpu_mask_parse, "00000000,00000005\n", " 0 2"));
	cr_expect(parses(cpu_mask_parse, "1,80000000\n", " 31 32"));
	cr_expect(parses(cpu_mask_parse, "C\n", " 2 3"));
	cr_expect(parses(cpu_mask_parse, "0\n", ""));
	cr_expect(parses(cpu_mask_parse, "", NULL));
	cr_expect(parses(cpu_mask_parse, "\n", NULL));
	cr_expect(parses(cpu_mask_parse, "g\n", NULL));
	cr_expect(parses(cpu_mask_parse, "1,0000005\n", NULL));
	cr_expect(parses(cpu_mask_parse, "123456789\n", NULL));
	cr_expect(parses(cpu_mask_parse, ",00000001\n", NULL));
	cr_expect(parses(cpu_mask_parse, "1,\n", NULL));
}

Test(nic_tree, paths_that_do_not_fit_open_nothing)
{
	struct path path = path_of("a");
	char text[8];

	for (int i = 0; i < 100; i++)
		path_add(&path, "/../a");
	path_add(&path, "b");
	cr_expect_str_eq(path.text, "");
	cr_expect_lt(procfs_read_at(tree.sources.proc, &path, text, sizeof(text)), 0);
	path = path_of("irq/");
	path_add_number(&path, 4294967295U);
	cr_expect_str_eq(path.text, "irq/4294967295");
}

static void rps(const char *const masks[], int count)
{
	for (int i = 0; i < count; i++)
		tree_file(&tree, masks[i], "sys/class/net/eth0/queues/rx-%d/rps_cpus", i);
	tree_file(&tree, "0\n", "proc/sys/net/core/rps_sock_flow_entries");
	nic_read_steering(&view, &tree.sources);
	cr_expect(nic_knows(&view, VALUE_RPS));
	cr_expect(nic_knows(&view, VALUE_RFS));
	cr_expect_not(view.rfs);
}

/* Not to be told is not to be told "off". */
Test(nic_tree, ethtool_refused)
{
	strcpy(view.driver, "i40e");
	nic_read_hash(&view, &tree.sources);
	cr_expect_not(nic_knows(&view, VALUE_FIELDS));
	cr_expect_eq(view.fact[VALUE_FIELDS].error, -EPERM);
	cr_expect(view.flow_director, "on unless somebody switched it off");
}

Test(nic_tree, rps_off)
{
	rps((const char *[]){"0\n", "0\n", "0\n", "0\n"}, 4);
	cr_expect_eq(view.arrival.rps.count, 0);
}

Test(nic_tree, rps_one_mask_for_all)
{
	rps((const char *[]){"a\n", "a\n", "a\n", "a\n"}, 4);
	cr_expect_eq(view.arrival.rps.count, 2);
	cr_expect_eq(view.arrival.rps.cpu[0], 1);
	cr_expect_eq(view.arrival.rps.cpu[1], 3);
	cr_expect_not(view.rps_differs);
}

Test(nic_tree, rps_unlike)
{
	rps((const char *[]){"3\n", "c\n", "3\n", "c\n"}, 4);
	cr_expect(view.rps_differs);
	cr_expect_eq(CPU_COUNT(&view.cpus), 4);
}

/* ... also where it is not the first queue that is spread, and what is not spread stays put. */
Test(nic_tree, rps_unlike_with_none_first)
{
	view.arrival.queue_cpu[0] = 7;
	view.arrival.queue_cpu[1] = 9;
	rps((const char *[]){"0\n", "3\n", "4\n", "3\n"}, 4);
	cr_expect(view.rps_differs);
	cr_expect_gt(view.arrival.rps.count, 1);
	for (int cpu = 0; cpu < 3; cpu++)
		cr_expect(CPU_ISSET(cpu, &view.cpus), "CPU %d", cpu);
	cr_expect(CPU_ISSET(7, &view.cpus));
	cr_expect_eq(CPU_COUNT(&view.cpus), 4);
}

/* The kernel leaves an unplugged CPU's share where the interrupts are. */
Test(nic_tree, rps_to_an_unplugged_cpu)
{
	tree_file(&tree, "0-2\n", "sys/devices/system/cpu/online");
	rps((const char *[]){"6\n", "6\n", "6\n", "6\n"}, 4);
	cr_expect_not(view.rps_differs);
	view.arrival.queue_cpu[0] = 0;
	rps((const char *[]){"e\n", "e\n", "e\n", "e\n"}, 4);
	cr_expect(view.rps_differs, "no longer to be told by the hash alone");
	cr_expect(CPU_ISSET(0, &view.cpus));
	cr_expect_not(CPU_ISSET(3, &view.cpus));
}

/* A CPU a queue: as if the interrupt were there. */
Test(nic_tree, rps_single_cpus)
{
	view.arrival.queue_cpu[2] = 9;
	rps((const char *[]){"1\n", "2\n", "0\n", "8\n"}, 4);
	cr_expect_eq(view.arrival.rps.count, 0);
	cr_expect_eq(view.arrival.queue_cpu[0], 0);
	cr_expect_eq(view.arrival.queue_cpu[1], 1);
	cr_expect_eq(view.arrival.queue_cpu[2], 9);
	cr_expect_eq(view.arrival.queue_cpu[3], 3);
}

Test(nic_tree, rps_single_cpu_that_is_unplugged)
{
	tree_file(&tree, "0-2\n", "sys/devices/system/cpu/online");
	for (int i = 0; i < 4; i++)
		view.arrival.queue_cpu[i] = (int16_t)(i % 3);
	rps((const char *[]){"2\n", "8\n", "1\n", "8\n"}, 4);
	cr_expect_eq(view.arrival.queue_cpu[0], 1);
	cr_expect_eq(view.arrival.queue_cpu[1], 1, "where its interrupt is");
	cr_expect_eq(view.arrival.queue_cpu[2], 0);
	cr_expect_eq(view.arrival.queue_cpu[3], 0);
}

Test(nic_tree, rfs)
{
	tree_file(&tree, "32768\n", "proc/sys/net/core/rps_sock_flow_entries");
	for (int i = 0; i < 4; i++) {
		tree_file(&tree, "0\n", "sys/class/net/eth0/queues/rx-%d/rps_cpus", i);
		tree_file(&tree, i == 3 ? "4096\n" : "0\n",
			  "sys/class/net/eth0/queues/rx-%d/rps_flow_cnt", i);
	}
	view.ntuple = true;
	nic_read_steering(&view, &tree.sources);
	cr_expect(view.rfs);
	cr_expect(view.accelerated_rfs);
}

Test(nic_tree, steering_unreadable)
{
	nic_read_steering(&view, &tree.sources);
	cr_expect_not(nic_knows(&view, VALUE_RPS));
	cr_expect_eq(view.fact[VALUE_RPS].error, -ENOENT);
	cr_expect_not(nic_knows(&view, VALUE_RFS));
	cr_expect_not(nic_knows(&view, VALUE_XPS));
}

Test(nic_tree, xps)
{
	tree_file(&tree, "5\n", "sys/class/net/eth0/queues/tx-0/xps_cpus");
	tree_file(&tree, "a\n", "sys/class/net/eth0/queues/tx-1/xps_cpus");
	nic_read_steering(&view, &tree.sources);
	cr_expect(nic_knows(&view, VALUE_XPS));
	cr_expect_eq(view.xps_queue[2], 0);
	cr_expect_eq(view.xps_queue[3], 1);
	cr_expect_eq(view.xps_queue[4], -1);
}

/* Two nodes of two cores of two threads; a cache for each node; CPU 7 is unplugged. */
Test(nic_tree, topology)
{
	static struct cpu_topology topology;
	cpu_set_t among;

	tree_file(&tree, "0-6\n", "sys/devices/system/cpu/online");
	tree_file(&tree, "3\n", "sys/devices/system/cpu/isolated");
	tree_file(&tree, "5\n", "sys/devices/system/cpu/nohz_full");
	for (int cpu = 0; cpu < 7; cpu++) {
		char text[16];

		snprintf(text, sizeof(text), "%d-%d\n", cpu & ~1, cpu | 1);
		tree_file(&tree, text, "sys/devices/system/cpu/cpu%d/topology/thread_siblings_list",
			  cpu);
		tree_file(&tree, cpu < 4 ? "0-3\n" : "4-6\n",
			  "sys/devices/system/cpu/cpu%d/cache/index3/shared_cpu_list", cpu);
	}
	tree_file(&tree, "0-3\n", "sys/devices/system/node/node0/cpulist");
	tree_file(&tree, "4-6\n", "sys/devices/system/node/node1/cpulist");
	tree_file(&tree, "0-1\n", "sys/devices/system/node/online");
	topology_read(&topology, tree.sources.sys);
	cr_expect_eq(topology.count, 7);
	cr_expect_eq(CPU_COUNT(&topology.isolated), 2);
	cr_expect(CPU_ISSET(3, &topology.isolated));
	cr_expect_gt(CPU_COUNT(&topology.allowed), 0);
	cr_expect_eq(topology_distance(&topology, 2, 2), CPU_SAME);
	cr_expect_eq(topology_distance(&topology, 2, 3), CPU_SIBLING);
	cr_expect_eq(topology_distance(&topology, 0, 3), CPU_CACHE);
	cr_expect_eq(topology_distance(&topology, 0, 4), CPU_FAR);
	cr_expect_eq(topology_distance(&topology, 0, 2000), CPU_FAR);
	cr_expect_eq(topology_distance(&topology, -1, 0), CPU_FAR);
	CPU_ZERO(&among);
	cr_expect_eq(topology_nearest(&topology, 5, &among), -1);
	CPU_SET(0, &among);
	cr_expect_eq(topology_nearest(&topology, 5, &among), 0);
	CPU_SET(6, &among);
	cr_expect_eq(topology_nearest(&topology, 5, &among), 6);
	CPU_SET(4, &among);
	cr_expect_eq(topology_nearest(&topology, 5, &among), 4);
	tree_file(&tree, "  (null)\n", "sys/devices/system/cpu/nohz_full");
	topology_read(&topology, tree.sources.sys);
	cr_expect_eq(CPU_COUNT(&topology.isolated), 1);
	/* Without caches the node decides. */
	memset(topology.cache, -1, sizeof(topology.cache));
	cr_expect_eq(topology_distance(&topology, 0, 3), CPU_NODE);
}

Test(nic_tree, topology_unreadable)
{
	static struct cpu_topology topology;

	topology_read(&topology, -EACCES);
	cr_expect_gt(topology.count, 0);
	cr_expect(CPU_EQUAL(&topology.online, &topology.allowed));
	cr_expect_eq(topology_distance(&topology, 0, topology.count > 1),
		     topology.count > 1 ? CPU_NODE : CPU_SAME);
}
