/* Which queue an interrupt serves, by the name its driver gave it, in /proc/interrupts or in
 * /sys/kernel/irq/N/actions. Pure. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum irq_role {
	IRQ_OTHER, /* of another device, or not a queue's: mailbox, events, Flow Director */
	IRQ_RX,
	IRQ_TX,
	IRQ_BOTH,
	IRQ_HALVES, /* gve: of n such interrupts the first half sends and the second receives */
	IRQ_WHOLE   /* one for all queues, where no others are found */
};

/* Whose interrupts are meant. Empty strings match nothing. */
struct irq_owner {
	const char *dev;    /* eth0 */
	const char *bus;    /* 0000:17:00.0, or virtio0 */
	bool all_of_device; /* the interrupt is known to be the device's (msi_irqs): names may then
			     * hold an older name of the interface */
};

/* The role of the interrupt and in *index the number of its queue. */
enum irq_role irq_name_role(const char *name, const struct irq_owner *owner, unsigned *index);

/* Takes /proc/interrupts in pieces and calls found() for each numbered interrupt with the name of
 * each of its actions. Lines of any length: only their ends are kept. */
#define IRQ_LINE_HEAD 12
#define IRQ_LINE_TAIL 256

typedef void (*irq_found_fn)(void *context, unsigned irq, const char *name);

struct irq_lines {
	irq_found_fn found;
	void *context;
	size_t len;               /* of the line so far */
	char head[IRQ_LINE_HEAD]; /* its first bytes: the number */
	char tail[IRQ_LINE_TAIL]; /* its last bytes, as a ring */
};

void irq_lines_feed(void *lines, const char *text, size_t len); /* a procfs_feed_fn */
void irq_lines_end(struct irq_lines *lines);                    /* a last line without newline */

/* The names of /sys/kernel/irq/N/actions: "eth0-TxRx-0,other". */
void irq_actions(const char *text, unsigned irq, irq_found_fn found, void *context);
