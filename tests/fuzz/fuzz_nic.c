/* Everything the kernel tells discovery, of any content. Input: a letter that says which answer the
 * rest is. */
#include "shim/connect/local_ports.h"
#include "shim/kernel/conntrack.h"
#include "shim/kernel/listening.h"
#include "shim/kernel/netlink.h"
#include "shim/kernel/procfs.h"
#include "shim/kernel/route.h"
#include "shim/nic/conntrack_line.h"
#include "shim/nic/irq_name.h"
#include "shim/nic/nic_links.h"
#include "shim/nic/queue_answer.h"
#include "shim/nic/rss_answer.h"
#include <stdlib.h>
#include <string.h>

static void require(int holds)
{
	if (!holds)
		abort();
}

static void on_irq(void *context, unsigned irq, const char *name)
{
	static const struct irq_owner owners[] = {
		{.dev = "eth0", .bus = "0000:5e:00.0"},
		{.dev = "eth0", .bus = "virtio0", .all_of_device = true},
	};
	unsigned index;

	(void)context;
	require(irq <= 999999999 && strlen(name) <= IRQ_LINE_TAIL);
	for (int i = 0; i < 2; i++)
		if (irq_name_role(name, &owners[i], &index) != IRQ_OTHER)
			require(index <= 99999);
}

static void look_at_interrupts(const char *text, size_t len)
{
	struct irq_lines lines = {.found = on_irq};

	irq_lines_feed(&lines, text, len / 2);
	irq_lines_feed(&lines, text + len / 2, len - len / 2);
	irq_lines_end(&lines);
}

static void look_at_hash(const struct rss_hash *hash, const struct rss_table *table)
{
	require(hash->key_len <= RSS_KEY_MAX && table->size <= RSS_TABLE_MAX);
	for (uint32_t i = 0; i < table->size; i++)
		require(table->queue[i] < RSS_QUEUES_MAX);
}

static void look_at_numbers(const char *text, size_t len)
{
	cpu_set_t cpus;
	long number;

	if (!cpu_list_parse(text, len, &cpus))
		require(CPU_COUNT(&cpus) == 0);
	if (!cpu_mask_parse(text, len, &cpus))
		require(CPU_COUNT(&cpus) == 0);
	number_parse(text, len, &number);
}

static void on_message(void *context, uint16_t type, const uint8_t *payload, size_t len)
{
	struct route_answer answer;

	(void)type;
	link_answer(context, payload, len);
	route_parse(payload, len, &answer);
}

static void look_at_messages(const uint8_t *data, size_t len)
{
	static struct nic_links links;
	int error;

	links.count = links.missed = 0;
	nl_walk(data, len, 5, on_message, &links, &error);
	require(error <= 0 && links.count <= NIC_LINKS_MAX);
	for (unsigned i = 0; i < links.count; i++)
		require(memchr(links.link[i].name, 0, IF_NAMESIZE) &&
			links.link[i].kind < NIC_KINDS);
}

static void look_at_queues(const uint8_t *data, size_t len)
{
	static struct queue_map map;

	queue_map_init(&map);
	queue_answer(&map, data, len / 2);
	queue_answer(&map, data, len);
	napi_answer(&map, data, len);
	require(map.rx.count <= RSS_QUEUES_MAX && map.tx.count <= RSS_QUEUES_MAX);
}

static void look_at_translations(const uint8_t *data, size_t len)
{
	struct conntrack_tuple replies;

	if (conntrack_parse(data, len, &replies))
		require(replies.from_port && replies.to_port);
}

static void look_at_translation_line(const char *line)
{
	struct conntrack_snat snat;

	if (conntrack_line_snat(line, &snat))
		require(memchr(snat.from, 0, sizeof(snat.from)) &&
			memchr(snat.to, 0, sizeof(snat.to)) &&
			memchr(snat.remote, 0, sizeof(snat.remote)));
}

static void look_at_listening(const uint8_t *data, size_t len)
{
	struct inet_diag_msg socket;
	struct nl_attrs attrs;
	struct nl_attr attr;

	if (!listening_parse(data, len, &socket, &attrs))
		return;
	while (nl_next(&attrs, &attr))
		require(attr.len <= len && attr.value >= data && attr.value <= data + len);
}

/* In one piece and in two they say the same. */
static void look_at_ports(const char *text, size_t len)
{
	static uint64_t whole[65536 / 64], halves[65536 / 64];
	struct reserved_parser one = {.bits = whole}, two = {.bits = halves};
	uint16_t lo, hi;

	if (local_range_parse(text, len, &lo, &hi))
		require(lo && lo <= hi);
	memset(whole, 0, sizeof(whole));
	memset(halves, 0, sizeof(halves));
	reserved_feed(&one, text, len);
	reserved_end(&one);
	reserved_feed(&two, text, len / 3);
	reserved_feed(&two, text + len / 3, len - len / 3);
	reserved_end(&two);
	require(!memcmp(whole, halves, sizeof(whole)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t address[16] = {0xfe, 0x80};
	static struct rss_hash hash;
	static struct rss_table table;
	char name[IF_NAMESIZE];
	uint32_t context;
	char *text;

	if (!size)
		return 0;
	/* Terminated, and of exactly this size, so that the sanitizer sees a byte too many. */
	text = malloc(size);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	switch (data[0]) {
	case 'i':
		look_at_interrupts((const char *)data + 1, size - 1);
		break;
	case 'a':
		irq_actions(text, 1, on_irq, NULL);
		break;
	case 'c':
		look_at_numbers((const char *)data + 1, size - 1);
		break;
	case 'd':
		if (link_line(text, name))
			require(name[0] && memchr(name, 0, sizeof(name)));
		route_inet6_line(text, address);
		break;
	case 'h':
		rss_parse_ioctl(data + 1, size - 1, &hash, &table);
		look_at_hash(&hash, &table);
		break;
	case 'r':
		rss_parse_netlink(data + 1, size - 1, &hash, &table, &context);
		look_at_hash(&hash, &table);
		break;
	case 'q':
		look_at_queues(data + 1, size - 1);
		break;
	case 't':
		look_at_translations(data + 1, size - 1);
		break;
	case 'n':
		look_at_translation_line(text);
		break;
	case 's':
		look_at_listening(data + 1, size - 1);
		break;
	case 'p':
		look_at_ports((const char *)data + 1, size - 1);
		break;
	case 'm':
		look_at_messages(data + 1, size - 1);
		break;
	}
	free(text);
	return 0;
}
