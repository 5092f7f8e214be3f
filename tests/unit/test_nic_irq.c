/* Which interrupt serves which queue: names of drivers, recorded and damaged /proc/interrupts. */
#include "shim/nic/irq_name.h"
#include "tests/unit/nic_tree.h"
#include <criterion/criterion.h>

static void expect_role(const char *name, const char *dev, const char *bus, bool all,
			enum irq_role role, unsigned index)
{
	struct irq_owner owner = {.dev = dev, .bus = bus, .all_of_device = all};
	unsigned found = 99;
	enum irq_role got = irq_name_role(name, &owner, &found);

	cr_expect_eq(got, role, "%s of %s: role %d, not %d", name, dev, got, role);
	if (role != IRQ_OTHER)
		cr_expect_eq(found, index, "%s: queue %u, not %u", name, found, index);
}

Test(nic_irq, names_of_drivers)
{
	expect_role("eth0-TxRx-7", "eth0", "", false, IRQ_BOTH, 7);
	expect_role("eth0-rx-3", "eth0", "", false, IRQ_RX, 3);
	expect_role("eth0-tx-12", "eth0", "", false, IRQ_TX, 12);
	expect_role("i40e-eth0-TxRx-31", "eth0", "0000:17:00.0", false, IRQ_BOTH, 31);
	expect_role("iavf-ens5-TxRx-2", "ens5", "", false, IRQ_BOTH, 2);
	expect_role("ice-eth0-TxRx-0", "eth0", "", false, IRQ_BOTH, 0);
	expect_role("mlx5_comp5@pci:0000:5e:00.0", "eth0", "0000:5e:00.0", false, IRQ_BOTH, 5);
	expect_role("mlx4-2@pci:0000:5e:00.0", "eth0", "0000:5e:00.0", false, IRQ_BOTH, 2);
	expect_role("eth0-6", "eth0", "", false, IRQ_BOTH, 6);
	expect_role("eth0-Tx-Rx-3", "eth0", "", false, IRQ_BOTH, 3);
	expect_role("virtio0-input.2", "eth0", "virtio0", false, IRQ_RX, 2);
	expect_role("virtio0-output.2", "eth0", "virtio0", false, IRQ_TX, 2);
	expect_role("gve-ntfy-blk9@pci:0000:00:04.0", "eth0", "0000:00:04.0", false, IRQ_HALVES, 9);
	expect_role("eth0-ntfy-block.3", "eth0", "", false, IRQ_HALVES, 3);
	expect_role("mana_q4@pci:7870:00:00.0", "eth0", "7870:00:00.0", false, IRQ_BOTH, 4);
	expect_role("hns3-0000:7d:00.0-TxRx-1", "eth0", "0000:7d:00.0", false, IRQ_BOTH, 1);
	expect_role("eth0-fp-4", "eth0", "", false, IRQ_BOTH, 4);
	expect_role("eth0-rxtx-1", "eth0", "", false, IRQ_BOTH, 1);
	expect_role("eth0-q1", "eth0", "", false, IRQ_BOTH, 1);
	expect_role("eth0-Rx2", "eth0", "", false, IRQ_RX, 2);
	expect_role("eth0_rxq3", "eth0", "", false, IRQ_RX, 3);
	expect_role("eth0-q3-rx", "eth0", "", false, IRQ_RX, 3);
	expect_role("eth0-q3-tx", "eth0", "", false, IRQ_TX, 3);
	expect_role("eth0:rx-1", "eth0", "", false, IRQ_RX, 1);
	expect_role("eth0", "eth0", "", false, IRQ_WHOLE, 0);
	expect_role("virtio0-virtqueues", "eth0", "virtio0", false, IRQ_WHOLE, 0);
}

Test(nic_irq, what_is_no_queue)
{
	expect_role("virtio0-config", "eth0", "virtio0", false, IRQ_OTHER, 0);
	expect_role("ena-mgmnt@pci:0000:00:05.0", "eth0", "0000:00:05.0", false, IRQ_OTHER, 0);
	expect_role("mlx5_async0@pci:0000:5e:00.0", "eth0", "0000:5e:00.0", false, IRQ_OTHER, 0);
	expect_role("i40e-0000:17:00.0:misc", "eth0", "0000:17:00.0", false, IRQ_OTHER, 0);
	expect_role("i40e-0000:17:00.0:fdir-TxRx-0", "eth0", "0000:17:00.0", false, IRQ_OTHER, 0);
	expect_role("eth0-event-4", "eth0", "", false, IRQ_OTHER, 0);
	expect_role("eth0-TxRx", "eth0", "", false, IRQ_OTHER, 0);
	expect_role("eth0-TxRx-123456", "eth0", "", false, IRQ_OTHER, 0);
	expect_role("", "eth0", "virtio0", true, IRQ_OTHER, 0);
	expect_role("-", "eth0", "virtio0", true, IRQ_OTHER, 0);
	expect_role("7", "eth0", "virtio0", true, IRQ_OTHER, 0);
}

Test(nic_irq, others_interrupts_are_not_ours)
{
	expect_role("eth01-TxRx-7", "eth0", "", false, IRQ_OTHER, 0);
	expect_role("veth0-TxRx-7", "eth0", "", false, IRQ_OTHER, 0);
	expect_role("eth1-TxRx-7", "eth0", "", false, IRQ_OTHER, 0);
	expect_role("virtio10-input.2", "eth0", "virtio1", false, IRQ_OTHER, 0);
	expect_role("mlx5_comp5@pci:0000:5e:00.1", "eth0", "0000:5e:00.0", false, IRQ_OTHER, 0);
	expect_role("eth0-TxRx-7", "", "", false, IRQ_OTHER, 0);
}

/* The interface was renamed after its driver had named the interrupts. */
Test(nic_irq, known_owner_under_an_older_name)
{
	expect_role("eth0-TxRx-7", "enp23s0f0", "0000:17:00.0", true, IRQ_BOTH, 7);
	expect_role("eth0-TxRx-7", "enp23s0f0", "0000:17:00.0", false, IRQ_OTHER, 0);
}

struct found {
	unsigned count;
	unsigned irq[256];
	char name[256][128];
};

static void on_found(void *context, unsigned irq, const char *name)
{
	struct found *found = context;

	cr_assert_lt(found->count, 256);
	found->irq[found->count] = irq;
	snprintf(found->name[found->count++], 128, "%s", name);
}

static struct found found;

static void feed(const char *text, size_t len, size_t piece)
{
	struct irq_lines lines = {.found = on_found, .context = &found};

	found.count = 0;
	for (size_t at = 0; at < len; at += piece)
		irq_lines_feed(&lines, text + at, piece < len - at ? piece : len - at);
	irq_lines_end(&lines);
}

Test(nic_irq, lines_in_pieces_of_any_size)
{
	size_t len;
	char *text = recorded("interrupts-i40e.txt", &len);

	for (size_t piece = 1; piece < 400; piece += 7) {
		feed(text, len, piece);
		cr_assert_eq(found.count, 3 + 1 + 8, "%u in pieces of %zu", found.count, piece);
		cr_expect_eq(found.irq[0], 0);
		cr_expect_str_eq(found.name[0], "timer");
		cr_expect_str_eq(found.name[2], "acpi");
		cr_expect_str_eq(found.name[3], "uhci_hcd:usb1");
		cr_expect_eq(found.irq[3], 9);
		cr_expect_str_eq(found.name[5], "i40e-eth0-TxRx-0");
		cr_expect_eq(found.irq[5], 121);
	}
	free(text);
}

/* 1024 CPUs make lines of 11 KB. */
Test(nic_irq, a_line_longer_than_any_buffer)
{
	static char text[16384];
	size_t len = (size_t)sprintf(text, "  77:");

	for (int cpu = 0; cpu < 1024; cpu++)
		len += (size_t)sprintf(text + len, " %10d", cpu);
	len += (size_t)sprintf(text + len, "  PCI-MSI 77-edge      eth0-TxRx-5\n");
	feed(text, len, 8192);
	cr_assert_eq(found.count, 1);
	cr_expect_eq(found.irq[0], 77);
	cr_expect_str_eq(found.name[0], "eth0-TxRx-5");
}

Test(nic_irq, actions_of_sysfs)
{
	found.count = 0;
	irq_actions("ahci[0000:00:1f.2],eth0-TxRx-1\n", 26, on_found, &found);
	cr_assert_eq(found.count, 2);
	cr_expect_str_eq(found.name[0], "ahci[0000:00:1f.2]");
	cr_expect_str_eq(found.name[1], "eth0-TxRx-1");
	found.count = 0;
	irq_actions("\n", 26, on_found, &found);
	irq_actions("", 26, on_found, &found);
	cr_expect_eq(found.count, 0);
}

/* Cut at every byte, and with bytes replaced: nothing may crash, and no interrupt may be made up
 * whose number is not in the text. */
Test(nic_irq, damaged_text)
{
	size_t len;
	char *text = recorded("interrupts-virtio.txt", &len);
	char *copy = malloc(len);
	unsigned seed = 1;

	for (size_t cut = 0; cut < len; cut++) {
		feed(text, cut, 64);
		for (unsigned i = 0; i < found.count; i++)
			cr_assert_leq(found.irq[i], 34);
	}
	for (int round = 0; round < 2000; round++) {
		memcpy(copy, text, len);
		for (int i = 0; i < 20; i++)
			copy[(unsigned)rand_r(&seed) % len] = (char)rand_r(&seed);
		feed(copy, len, 100);
		for (unsigned i = 0; i < found.count; i++) {
			struct irq_owner owner = {.dev = "eth0", .bus = "virtio0"};
			unsigned index;

			irq_name_role(found.name[i], &owner, &index);
		}
	}
	free(copy);
	free(text);
}
