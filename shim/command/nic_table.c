#include "shim/command/nic.h"
#include <stdio.h>
#include <string.h>

static void label(const char *name)
{
	printf("  %-14s ", name);
}

/* "(where from)" at the end of a line, or why it is unknown. */
static void origin(const struct nic_view *view, enum nic_value value)
{
	const struct nic_fact *fact = &view->fact[value];

	if (fact->origin != ORIGIN_UNKNOWN)
		printf("  (%s)\n", nic_origin_name((enum nic_origin)fact->origin));
	else if (fact->error)
		printf("  (%s)\n", strerror(-fact->error));
	else
		printf("\n");
}

static void print_head(const struct nic_view *view, const struct nic_set *set)
{
	printf("%s: %s", view->name, nic_kind_name(view->kind));
	if (view->driver[0] && strcmp(view->driver, nic_kind_name(view->kind)))
		printf(", %s", view->driver);
	printf(", %s", view->up ? "up" : "down");
	if (view->numa_node >= 0)
		printf(", NUMA node %d", view->numa_node);
	if (view->lower_count)
		printf(", on");
	for (unsigned i = 0; i < view->lower_count; i++) {
		const struct nic_view *lower = nic_by_index(set, view->lower[i]);

		printf(" %s", lower ? lower->name : "an interface not looked at");
	}
	printf("\n");
}

static void print_verdict(const struct nic_view *view)
{
	static const char *const family[] = {"IPv4", "IPv6"};
	char cpus[256];

	label("listening");
	if (view->spreads)
		printf("steered by CPU: packets are spread over CPUs %s\n",
		       cpu_set_text(&view->cpus, cpus, sizeof(cpus)));
	else
		printf("not steered: %s\n", nic_reason_text(view->spreads_not));
	label("connecting");
	if (view->predictable[0] && view->predictable[1])
		printf("source ports can be chosen%s\n",
		       view->doubtful ? ", to be verified: this driver is known to report what "
					"the device does not do"
				      : "");
	else if (view->predictable_not[0] == view->predictable_not[1])
		printf("source ports are left alone: %s\n",
		       nic_reason_text(view->predictable_not[0]));
	else
		for (int i = 0; i < 2; i++)
			printf("%s%s: %s%s", i ? "; " : "", family[i],
			       view->predictable[i] ? "source ports can be chosen"
						    : nic_reason_text(view->predictable_not[i]),
			       i ? "\n" : "");
}

static void print_hash(const struct nic_view *view)
{
	const struct rss_hash *hash = &view->arrival.hash;
	const struct rss_table *table = &view->arrival.table;
	unsigned equal = table_is_equal(table);

	label("function");
	printf("%s%s", hash_function_name(hash->function), view->learn ? ", to be learned" : "");
	origin(view, VALUE_FUNCTION);
	label("fields");
	if (view->fact[VALUE_FIELDS].origin == ORIGIN_UNKNOWN)
		printf("unknown");
	else
		printf("IPv4 %s, IPv6 %s", hash_fields_name(hash->fields[0]),
		       hash_fields_name(hash->fields[1]));
	origin(view, VALUE_FIELDS);
	label("transform");
	printf("%s", view->fact[VALUE_TRANSFORM].origin == ORIGIN_UNKNOWN
			     ? "unknown"
			     : hash_transform_name(hash->transform));
	origin(view, VALUE_TRANSFORM);
	label("key");
	for (int i = 0; i < hash->key_len; i++)
		printf("%s%02x", i ? ":" : "", hash->key[i]);
	printf("%s", hash->key_len ? "" : "unknown");
	origin(view, VALUE_KEY);
	label("table");
	if (!table->size)
		printf("unknown");
	else
		printf("%u entries", table->size);
	if (equal)
		printf(", equal %u", equal);
	for (uint32_t i = 0; !equal && i < table->size; i++) {
		printf("%s", i % 32 ? " " : "\n                 ");
		printf(table->queue[i] < RSS_QUEUES_MAX ? "%u" : "?", table->queue[i]);
	}
	origin(view, VALUE_TABLE);
}

static void print_steering(const struct nic_view *view)
{
	const struct rps_map *rps = &view->arrival.rps;
	char text[256];
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	for (unsigned i = 0; i < rps->count; i++)
		CPU_SET(rps->cpu[i], &cpus);
	label("RPS");
	if (view->fact[VALUE_RPS].origin == ORIGIN_UNKNOWN)
		printf("unknown");
	else if (view->rps_differs)
		printf("on, another mask for each queue");
	else if (rps->count)
		printf("CPUs %s, by %s", cpu_set_text(&cpus, text, sizeof(text)),
		       rps->unknown ? "a hash of the kernel's own" : "the NIC's hash");
	else
		printf("off");
	origin(view, VALUE_RPS);
	label("RFS");
	printf("%s", view->fact[VALUE_RFS].origin == ORIGIN_UNKNOWN ? "unknown"
		     : view->accelerated_rfs                        ? "on, accelerated"
		     : view->rfs                                    ? "on"
								    : "off");
	origin(view, VALUE_RFS);
	label("Flow Director");
	printf("%s\n", view->flow_director ? "on: replies follow the sending CPU" : "off");
	label("n-tuple");
	printf("%s, ", view->ntuple ? "on" : "off");
	if (view->fact[VALUE_RULES].origin == ORIGIN_UNKNOWN)
		printf("rules unknown");
	else
		printf("%u rules that touch TCP", view->rules);
	origin(view, VALUE_RULES);
	label("RSS contexts");
	if (view->fact[VALUE_CONTEXTS].origin == ORIGIN_UNKNOWN)
		printf("unknown");
	else
		printf("%u beside the default", view->contexts);
	origin(view, VALUE_CONTEXTS);
	if (view->threaded_napi) {
		label("NAPI");
		printf("threaded\n");
	}
}

static void print_queues(const struct nic_view *view)
{
	const struct arrival *arrival = &view->arrival;

	label("queues");
	printf("%u receive, %u transmit", arrival->queue_count, view->tx_count);
	origin(view, VALUE_QUEUES);
	label("CPUs of queues");
	printf("%s", view->fact[VALUE_QUEUE_CPU].origin == ORIGIN_UNKNOWN ? "unknown" : "below");
	origin(view, VALUE_QUEUE_CPU);
	if (!arrival->queue_count)
		return;
	printf("\n  QUEUE    IRQ  RX CPU  BUCKETS  TX CPU\n");
	for (unsigned i = 0; i < arrival->queue_count; i++) {
		unsigned buckets = 0;

		for (uint32_t bucket = 0; bucket < arrival->table.size; bucket++)
			buckets += arrival->table.queue[bucket] == i;
		printf("  %5u", i);
		printf(view->queue_irq[i] < 0 ? "      -" : "  %5d", view->queue_irq[i]);
		printf(arrival->queue_cpu[i] < 0 ? "       -" : "  %6d", arrival->queue_cpu[i]);
		printf(arrival->table.size ? "  %7u" : "        -", buckets);
		printf(view->tx_cpu[i] < 0 ? "       -\n" : "  %6d\n", view->tx_cpu[i]);
	}
}

/* What share of the flows a CPU gets, and what share of all receive work it did since boot. */
static void print_cpus(const struct nic_view *view, const struct softirqs *softirqs)
{
	const struct arrival *arrival = &view->arrival;

	printf("\n    CPU    FLOWS  XPS QUEUE  NET_RX SOFTIRQS\n");
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		unsigned buckets = 0;

		if (!softirqs->cpu[cpu] && !CPU_ISSET(cpu, &view->cpus))
			continue;
		for (uint32_t i = 0; i < arrival->table.size; i++) {
			unsigned queue = arrival->table.queue[i];

			buckets += queue < RSS_QUEUES_MAX && arrival->queue_cpu[queue] == cpu;
		}
		printf("  %5d", cpu);
		if (arrival->rps.count > 1)
			printf("  %6.1f%%",
			       CPU_ISSET(cpu, &view->cpus) ? 100.0 / arrival->rps.count : 0.0);
		else if (arrival->table.size)
			printf("  %6.1f%%", 100.0 * buckets / arrival->table.size);
		else
			printf("        -");
		printf(view->xps_queue[cpu] < 0 ? "          -" : "  %9d", view->xps_queue[cpu]);
		printf("  %14.1f%%\n", softirqs->total ? 100.0 * (double)softirqs->cpu[cpu] /
								 (double)softirqs->total
						       : 0.0);
	}
}

static void print_lesson(const struct nic_view *view, const struct lesson_of *of)
{
	const struct lesson *lesson = &of->lesson;

	label("learned");
	printf("%s, by %s (pid %d) from %u connections, %u against it%s\n", lesson_way(lesson),
	       of->program, (int)of->pid, lesson->seen, lesson->contradicted,
	       view->disproved ? "; what is reported proved wrong" : "");
	label("");
	printf("IPv4: %s; IPv6: %s\n", lesson_state(lesson, FLOW_IPV4),
	       lesson_state(lesson, FLOW_IPV6));
	if (!view->learned || !lesson->learned.unknown)
		return;
	label("");
	printf("still unknown: %u of %u classes\n", lesson->learned.unknown,
	       lesson->learned.arrival.table.size);
}

void nic_print_table(const struct nic_view *view, const struct nic_set *set,
		     const struct softirqs *softirqs, const struct lesson_of *lesson)
{
	print_head(view, set);
	print_verdict(view);
	if (lesson)
		print_lesson(view, lesson);
	print_hash(view);
	print_steering(view);
	print_queues(view);
	print_cpus(view, softirqs);
}
