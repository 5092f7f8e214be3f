/* Queue -> interrupt -> CPU over whole /proc and /sys trees, as each driver lays them out. */
#include "shim/nic/nic_read.h"
#include "tests/unit/nic_tree.h"
#include <criterion/criterion.h>

static struct tree tree;
static struct nic_view view;

static void set_up(void)
{
	tree_make(&tree);
}

static void tear_down(void)
{
	tree_remove(&tree);
}

TestSuite(nic_queues, .init = set_up, .fini = tear_down);

static void start(const char *name, unsigned queues)
{
	memset(&view, 0, sizeof(view));
	strcpy(view.name, name);
	memset(view.arrival.queue_cpu, -1, sizeof(view.arrival.queue_cpu));
	memset(view.tx_cpu, -1, sizeof(view.tx_cpu));
	memset(view.queue_irq, -1, sizeof(view.queue_irq));
	memset(view.queue_thread, -1, sizeof(view.queue_thread));
	view.arrival.queue_count = (uint16_t)queues;
	view.tx_count = (uint16_t)queues;
}

static void interrupts(const char *file)
{
	size_t len;
	char *text = recorded(file, &len);

	tree_bytes(&tree, "proc/interrupts", text, len);
	free(text);
}

/* CPU of each interrupt: its number modulo `cpus`. */
static void affinities(unsigned first, unsigned last, unsigned cpus, const char *file)
{
	char text[16];

	for (unsigned irq = first; irq <= last; irq++) {
		snprintf(text, sizeof(text), "%u\n", irq % cpus);
		tree_file(&tree, text, "proc/irq/%u/%s", irq, file);
	}
}

static void expect_queues(const char *what, unsigned queues, const int32_t *irqs, unsigned cpus)
{
	nic_read_queues(&view, &tree.sources);
	cr_expect(nic_knows(&view, VALUE_QUEUE_CPU), "%s: CPUs unknown", what);
	for (unsigned i = 0; i < queues; i++) {
		cr_expect_eq(view.queue_irq[i], irqs[i], "%s: queue %u: interrupt %d, not %d", what,
			     i, view.queue_irq[i], irqs[i]);
		cr_expect_eq(view.arrival.queue_cpu[i], irqs[i] % (int)cpus, "%s: queue %u: CPU %d",
			     what, i, view.arrival.queue_cpu[i]);
	}
}

static void by_name(const char *driver, const char *dev, const char *device, unsigned queues,
		    unsigned first_irq, unsigned step)
{
	char file[64];
	int32_t irqs[16];

	snprintf(file, sizeof(file), "interrupts-%s.txt", driver);
	interrupts(file);
	affinities(20, 340, 8, "effective_affinity_list");
	if (device[0])
		tree_link(&tree, "sys/class/net/eth0/device", device);
	for (unsigned i = 0; i < queues; i++)
		irqs[i] = (int32_t)(first_irq + i * step);
	start(dev, queues);
	expect_queues(driver, queues, irqs, 8);
}

Test(nic_queues, ixgbe)
{
	by_name("ixgbe", "eth0", "", 8, 64, 1);
}

Test(nic_queues, ixgbe_second_port)
{
	by_name("ixgbe", "eth1", "", 8, 80, 1);
}

Test(nic_queues, i40e)
{
	by_name("i40e", "eth0", "../../devices/0000:17:00.0", 6, 121, 1);
}

Test(nic_queues, ice)
{
	by_name("ice", "eth0", "../../devices/0000:31:00.0", 8, 201, 1);
}

Test(nic_queues, mlx5)
{
	by_name("mlx5", "eth0", "../../devices/0000:5e:00.1", 8, 321, 1);
}

Test(nic_queues, mlx5_before_pci_names)
{
	by_name("mlx5-old", "eth0", "../../devices/0000:5e:00.0", 8, 312, 1);
}

Test(nic_queues, ena)
{
	by_name("ena", "eth0", "../../devices/0000:00:05.0", 4, 28, 1);
}

Test(nic_queues, virtio)
{
	by_name("virtio", "eth0", "../../devices/virtio0", 4, 27, 2);
}

/* Beside a console whose interrupt is virtio4-input. */
Test(nic_queues, virtio_of_one_queue)
{
	by_name("virtio-one", "eth0", "../../devices/virtio2", 1, 38, 1);
}

/* Eight blocks: the first four send. */
Test(nic_queues, gve)
{
	by_name("gve", "eth0", "../../devices/0000:00:04.0", 4, 34, 1);
}

Test(nic_queues, bnxt)
{
	by_name("bnxt_en", "eth0", "", 5, 90, 1);
}

Test(nic_queues, igb)
{
	by_name("igb", "eth0", "", 4, 51, 1);
}

Test(nic_queues, tg3_counts_from_one)
{
	by_name("tg3", "eth0", "", 4, 51, 1);
}

Test(nic_queues, xen)
{
	by_name("xen", "eth0", "", 4, 51, 2);
}

Test(nic_queues, e1000e)
{
	by_name("e1000e", "eth0", "", 1, 26, 1);
}

Test(nic_queues, one_shared_vector)
{
	by_name("one-vector", "eth0", "", 1, 26, 1);
}

Test(nic_queues, transmit_queues)
{
	by_name("virtio", "eth0", "../../devices/virtio0", 4, 27, 2);
	cr_expect(nic_knows(&view, VALUE_TX_CPU));
	for (int i = 0; i < 4; i++)
		cr_expect_eq(view.tx_cpu[i], (28 + 2 * i) % 8);
}

/* virtio's interrupts are listed at the PCI device above, with names in /sys/kernel/irq; then
 * /proc/interrupts is not read at all. */
Test(nic_queues, msi_list_above_the_device)
{
	static const int32_t irqs[] = {38, 40};

	tree_file(&tree, "x\n", "sys/devices/pci0/0000:00:03.0/virtio2/net/eth0/ifindex");
	tree_link(&tree, "sys/class/net/eth0", "../../devices/pci0/0000:00:03.0/virtio2/net/eth0");
	tree_link(&tree, "sys/devices/pci0/0000:00:03.0/virtio2/net/eth0/device",
		  "../../../virtio2");
	for (int irq = 37; irq <= 41; irq++) {
		tree_file(&tree, "msix\n", "sys/devices/pci0/0000:00:03.0/msi_irqs/%d", irq);
		tree_file(&tree,
			  irq == 37   ? "virtio2-config\n"
			  : irq == 38 ? "virtio2-input.0\n"
			  : irq == 39 ? "virtio2-output.0\n"
			  : irq == 40 ? "virtio2-input.1\n"
				      : "virtio2-output.1\n",
			  "sys/kernel/irq/%d/actions", irq);
	}
	affinities(37, 41, 8, "effective_affinity_list");
	start("eth0", 2);
	expect_queues("msi_irqs", 2, irqs, 8);
}

Test(nic_queues, hyper_v_channels)
{
	interrupts("interrupts-hv_netvsc.txt");
	for (int channel = 0; channel < 4; channel++) {
		char text[8];

		snprintf(text, sizeof(text), "%d\n", channel);
		tree_file(&tree, text, "sys/class/net/eth0/device/channels/%d/subchannel_id",
			  20 + channel);
		snprintf(text, sizeof(text), "%d\n", 7 - channel);
		tree_file(&tree, text, "sys/class/net/eth0/device/channels/%d/cpu", 20 + channel);
	}
	start("eth0", 4);
	nic_read_queues(&view, &tree.sources);
	cr_expect_eq(view.fact[VALUE_QUEUE_CPU].origin, ORIGIN_SYSFS);
	for (int i = 0; i < 4; i++)
		cr_expect_eq(view.arrival.queue_cpu[i], 7 - i);
}

Test(nic_queues, without_effective_affinity)
{
	interrupts("interrupts-ena.txt");
	affinities(28, 31, 4, "smp_affinity_list");
	start("eth0", 4);
	nic_read_queues(&view, &tree.sources);
	for (int i = 0; i < 4; i++)
		cr_expect_eq(view.arrival.queue_cpu[i], i);
}

/* x86 without interrupt remapping: a move takes place at the next interrupt. */
Test(nic_queues, pending_move)
{
	interrupts("interrupts-ena.txt");
	affinities(28, 31, 4, "effective_affinity_list");
	affinities(28, 31, 4, "smp_affinity_list");
	tree_file(&tree, "3\n", "proc/irq/28/smp_affinity_list");
	tree_file(&tree, "2-3\n", "proc/irq/29/smp_affinity_list");
	tree_file(&tree, "0-3\n", "proc/irq/30/smp_affinity_list");
	start("eth0", 4);
	nic_read_queues(&view, &tree.sources);
	cr_expect_eq(view.arrival.queue_cpu[0], 3);
	cr_expect_eq(view.arrival.queue_cpu[1], -1, "to one of two: not known which");
	cr_expect_eq(view.arrival.queue_cpu[2], 2);
	cr_expect_eq(view.arrival.queue_cpu[3], 3);
}

/* An unplugged CPU stays in the affinity; the kernel serves its interrupts elsewhere. */
Test(nic_queues, unplugged_cpu)
{
	interrupts("interrupts-ena.txt");
	affinities(28, 31, 4, "effective_affinity_list");
	affinities(28, 31, 4, "smp_affinity_list");
	tree_file(&tree, "0\n", "proc/irq/31/effective_affinity_list");
	tree_file(&tree, "0-2\n", "sys/devices/system/cpu/online");
	start("eth0", 4);
	nic_read_queues(&view, &tree.sources);
	cr_expect_eq(view.arrival.queue_cpu[2], 2);
	cr_expect_eq(view.arrival.queue_cpu[3], 0, "CPU %d", view.arrival.queue_cpu[3]);
}

/* An interrupt that several CPUs take turns at has no CPU that could be steered to. */
Test(nic_queues, several_cpus_for_an_interrupt)
{
	interrupts("interrupts-ena.txt");
	affinities(28, 31, 4, "effective_affinity_list");
	tree_file(&tree, "0-3\n", "proc/irq/29/effective_affinity_list");
	start("eth0", 4);
	nic_read_queues(&view, &tree.sources);
	cr_expect_eq(view.arrival.queue_cpu[0], 0);
	cr_expect_eq(view.arrival.queue_cpu[1], -1);
	cr_expect_eq(view.arrival.queue_cpu[2], 2);
}

/* Its work is done by a thread that may run anywhere. */
Test(nic_queues, threaded_napi)
{
	interrupts("interrupts-ena.txt");
	affinities(28, 31, 4, "effective_affinity_list");
	tree_file(&tree, "1\n", "sys/class/net/eth0/threaded");
	start("eth0", 4);
	nic_read_queues(&view, &tree.sources);
	cr_expect(view.threaded_napi);
	cr_expect_not(nic_knows(&view, VALUE_QUEUE_CPU));
	cr_expect_eq(view.arrival.queue_cpu[0], -1);
	cr_expect_eq(view.queue_irq[0], 28);
}

static struct nic_view again;

static void reread(void)
{
	memset(&again, 0, sizeof(again));
	strcpy(again.name, view.name);
	again.arrival.queue_count = view.arrival.queue_count;
	nic_reread_queues(&again, &view, &tree.sources);
}

/* By what is known of them, without a look at who serves what. */
Test(nic_queues, interrupts_that_moved)
{
	interrupts("interrupts-ena.txt");
	affinities(28, 31, 4, "effective_affinity_list");
	start("eth0", 4);
	nic_read_queues(&view, &tree.sources);
	tree_file(&tree, "", "proc/interrupts");
	reread();
	cr_expect_eq(memcmp(again.arrival.queue_cpu, view.arrival.queue_cpu,
			    sizeof(again.arrival.queue_cpu)),
		     0);
	cr_expect_eq(again.fact[VALUE_QUEUE_CPU].origin, view.fact[VALUE_QUEUE_CPU].origin);
	tree_file(&tree, "2\n", "proc/irq/28/smp_affinity_list");
	reread();
	cr_expect_eq(again.arrival.queue_cpu[0], 2);
	cr_expect_eq(again.arrival.queue_cpu[1], view.arrival.queue_cpu[1]);
	/* Whose interrupt nobody found stays where it was said to be. */
	view.queue_irq[0] = -1;
	reread();
	cr_expect_eq(again.arrival.queue_cpu[0], view.arrival.queue_cpu[0]);
}

/* Single NAPIs can be threaded, which the file of the device does not show. */
Test(nic_queues, a_thread_of_its_own_napi)
{
	cpu_set_t one;

	start("eth0", 2);
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	cr_assert_eq(sched_setaffinity(0, sizeof(one), &one), 0);
	tree_file(&tree, "napi/eth0-17\n", "proc/%d/comm", getpid());
	tree_file(&tree, "1\n", "proc/irq/28/smp_affinity_list");
	nic_known(&view, VALUE_QUEUE_CPU, ORIGIN_NETLINK);
	view.queue_irq[0] = view.queue_irq[1] = 28;
	view.queue_thread[0] = getpid();
	view.arrival.queue_cpu[0] = 0;
	view.arrival.queue_cpu[1] = 1;
	reread();
	cr_expect_eq(again.arrival.queue_cpu[0], 0, "where the thread is, not its interrupt");
	cr_expect_eq(again.arrival.queue_cpu[1], 1);
	cr_expect_eq(again.queue_thread[0], getpid());
}

Test(nic_queues, nothing_readable_is_a_named_unknown)
{
	start("eth0", 4);
	tree.sources.sys = -EACCES;
	close(tree.sources.proc);
	tree.sources.proc = -EPERM;
	nic_read_queues(&view, &tree.sources);
	cr_expect_not(nic_knows(&view, VALUE_QUEUE_CPU));
	cr_expect_eq(view.fact[VALUE_QUEUE_CPU].error, -EPERM);
	cr_expect_eq(view.arrival.queue_cpu[0], -1);
}

Test(nic_queues, damaged_affinity)
{
	static const char *const texts[] = {
		"",     "\n",  "x\n",  "-1\n",  "4-2\n", "99999999999999999999\n",
		"1,\n", ",\n", "1-\n", "5000\n"};

	interrupts("interrupts-ena.txt");
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		tree_file(&tree, texts[i], "proc/irq/28/effective_affinity_list");
		start("eth0", 4);
		nic_read_queues(&view, &tree.sources);
		cr_expect_eq(view.arrival.queue_cpu[0], -1, "'%s'", texts[i]);
	}
}
