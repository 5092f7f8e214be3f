#include "shim/command/nic.h"
#include <stdio.h>
#include <string.h>

static void key(const char *name)
{
	printf(", \"%s\": ", name);
}

static void boolean(const char *name, bool value)
{
	key(name);
	printf("%s", value ? "true" : "false");
}

static void number(const char *name, long value)
{
	key(name);
	printf("%ld", value);
}

/* Names of interfaces and drivers may hold anything but '/' and blanks. */
static void string(const char *name, const char *value)
{
	key(name);
	putchar('"');
	for (; *value; value++) {
		unsigned char c = (unsigned char)*value;

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

static void reason(const char *name, bool yes, enum nic_reason why)
{
	if (!yes)
		string(name, nic_reason_name(why));
}

static void numbers16(const char *name, const uint16_t *values, unsigned count)
{
	key(name);
	putchar('[');
	for (unsigned i = 0; i < count; i++)
		printf("%s%u", i ? ", " : "", values[i]);
	putchar(']');
}

/* What is not known (-1) is null. */
static void signed_numbers(const char *name, const int16_t *values, unsigned count)
{
	key(name);
	putchar('[');
	for (unsigned i = 0; i < count; i++)
		printf(values[i] < 0 ? "%snull" : "%s%d", i ? ", " : "", values[i]);
	putchar(']');
}

static void interrupts(const struct nic_view *view)
{
	key("queue_irqs");
	putchar('[');
	for (unsigned i = 0; i < view->arrival.queue_count; i++)
		printf(view->queue_irq[i] < 0 ? "%snull" : "%s%d", i ? ", " : "",
		       view->queue_irq[i]);
	putchar(']');
}

static void print_hash(const struct nic_view *view)
{
	const struct rss_hash *hash = &view->arrival.hash;
	char text[3 * RSS_KEY_MAX + 1] = "";

	for (int i = 0; i < hash->key_len; i++)
		sprintf(text + strlen(text), "%s%02x", i ? ":" : "", hash->key[i]);
	string("function", hash_function_name(hash->function));
	string("transform", hash_transform_name(hash->transform));
	if (view->fact[VALUE_FIELDS].origin != ORIGIN_UNKNOWN) {
		string("fields_ipv4", hash_fields_name(hash->fields[0]));
		string("fields_ipv6", hash_fields_name(hash->fields[1]));
	}
	if (hash->key_len)
		string("key", text);
	numbers16("table", view->arrival.table.queue, view->arrival.table.size);
}

static void print_origins(const struct nic_view *view)
{
	key("origins");
	for (int value = 0; value < NIC_VALUES; value++) {
		const struct nic_fact *fact = &view->fact[value];
		const char *word = fact->origin == ORIGIN_UNKNOWN && fact->error
					   ? strerror(-fact->error)
					   : nic_origin_name((enum nic_origin)fact->origin);

		printf("%s\"%s\": \"%s%s\"", value ? ", " : "{",
		       nic_value_name((enum nic_value)value),
		       fact->origin == ORIGIN_UNKNOWN && fact->error ? "unknown: " : "", word);
	}
	putchar('}');
}

static void print_lowers(const struct nic_view *view, const struct nic_set *set)
{
	key("lowers");
	putchar('[');
	for (unsigned i = 0; i < view->lower_count; i++) {
		const struct nic_view *lower = nic_by_index(set, view->lower[i]);

		printf("%s\"%s\"", i ? ", " : "", lower ? lower->name : "?");
	}
	putchar(']');
}

static void print_softirqs(const struct softirqs *softirqs)
{
	bool any = false;

	key("net_rx_softirq_share");
	putchar('{');
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!softirqs->cpu[cpu])
			continue;
		printf("%s\"%d\": %.4f", any ? ", " : "", cpu,
		       (double)softirqs->cpu[cpu] / (double)softirqs->total);
		any = true;
	}
	putchar('}');
}

static void print_view(const struct nic_set *set, const struct nic_view *view,
		       const struct softirqs *softirqs)
{
	const struct arrival *arrival = &view->arrival;
	char cpus[256];

	printf("{\"ifindex\": %u", view->ifindex);
	string("name", view->name);
	string("kind", nic_kind_name(view->kind));
	string("driver", view->driver);
	boolean("up", view->up);
	if (view->numa_node >= 0)
		number("numa_node", view->numa_node);
	print_lowers(view, set);
	boolean("spreads", view->spreads);
	reason("spreads_not", view->spreads, view->spreads_not);
	boolean("predictable_ipv4", view->predictable[0]);
	reason("predictable_not_ipv4", view->predictable[0], view->predictable_not[0]);
	boolean("predictable_ipv6", view->predictable[1]);
	reason("predictable_not_ipv6", view->predictable[1], view->predictable_not[1]);
	boolean("doubtful", view->doubtful);
	boolean("multi_queue", view->multi_queue);
	print_hash(view);
	number("queues", arrival->queue_count);
	number("tx_queues", view->tx_count);
	signed_numbers("queue_cpus", arrival->queue_cpu, arrival->queue_count);
	signed_numbers("tx_cpus", view->tx_cpu, view->tx_count);
	interrupts(view);
	numbers16("rps_cpus", arrival->rps.cpu, arrival->rps.count);
	boolean("rps_differs", view->rps_differs);
	boolean("rx_hash", view->rx_hash);
	boolean("flow_director", view->flow_director);
	boolean("ntuple", view->ntuple);
	boolean("rfs", view->rfs);
	boolean("accelerated_rfs", view->accelerated_rfs);
	boolean("threaded_napi", view->threaded_napi);
	boolean("learn", view->learn);
	number("rules", view->rules);
	number("contexts", view->contexts);
	string("cpus", cpu_set_text(&view->cpus, cpus, sizeof(cpus)));
	print_softirqs(softirqs);
	print_origins(view);
	putchar('}');
}

void nic_print_json(const struct nic_set *set, const struct nic_view *only,
		    const struct softirqs *softirqs)
{
	if (only) {
		print_view(set, only, softirqs);
	} else {
		putchar('[');
		for (unsigned i = 0; i < set->count; i++) {
			printf("%s", i ? ",\n " : "");
			print_view(set, &set->view[i], softirqs);
		}
		putchar(']');
	}
	putchar('\n');
}
