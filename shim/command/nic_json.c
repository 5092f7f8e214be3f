#include "shim/command/json.h"
#include "shim/command/nic.h"
#include <stdio.h>
#include <string.h>

static void reason(const char *name, bool yes, enum nic_reason why)
{
	if (!yes)
		json_string(name, nic_reason_name(why));
}

static void numbers(const char *name, const uint16_t *values, unsigned count)
{
	json_open(name, '[');
	for (unsigned i = 0; i < count; i++)
		json_number(NULL, values[i]);
	json_close(']');
}

static void known_numbers(const char *name, const int16_t *values, unsigned count)
{
	json_open(name, '[');
	for (unsigned i = 0; i < count; i++)
		json_known(NULL, values[i]);
	json_close(']');
}

static void print_interrupts(const struct nic_view *view)
{
	json_open("queue_irqs", '[');
	for (unsigned i = 0; i < view->arrival.queue_count; i++)
		json_known(NULL, view->queue_irq[i]);
	json_close(']');
}

/* By CPU, the transmit queue that it gives to. */
static void print_xps(const struct nic_view *view)
{
	char cpu_text[16];

	json_open("xps", '{');
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (view->xps_queue[cpu] < 0)
			continue;
		snprintf(cpu_text, sizeof(cpu_text), "%d", cpu);
		json_known(cpu_text, view->xps_queue[cpu]);
	}
	json_close('}');
}

static void print_hash(const struct nic_view *view)
{
	const struct rss_hash *hash = &view->arrival.hash;
	char text[3 * RSS_KEY_MAX + 1] = "";

	for (int i = 0; i < hash->key_len; i++)
		sprintf(text + strlen(text), "%s%02x", i ? ":" : "", hash->key[i]);
	json_string("function", hash_function_name(hash->function));
	json_string("transform", hash_transform_name(hash->transform));
	if (view->fact[VALUE_FIELDS].origin != ORIGIN_UNKNOWN) {
		json_string("fields_ipv4", hash_fields_name(hash->fields[0]));
		json_string("fields_ipv6", hash_fields_name(hash->fields[1]));
	}
	if (hash->key_len)
		json_string("key", text);
	json_open("table", '[');
	for (uint32_t i = 0; i < view->arrival.table.size; i++)
		json_known(NULL, view->arrival.table.queue[i] < RSS_QUEUES_MAX
					 ? view->arrival.table.queue[i]
					 : -1);
	json_close(']');
}

static void print_origins(const struct nic_view *view)
{
	json_open("origins", '{');
	for (int value = 0; value < NIC_VALUES; value++) {
		const struct nic_fact *fact = &view->fact[value];
		const char *word = nic_origin_name((enum nic_origin)fact->origin);
		char why[128];

		if (fact->origin == ORIGIN_UNKNOWN && fact->error) {
			snprintf(why, sizeof(why), "unknown: %s", strerror(-fact->error));
			word = why;
		}
		json_string(nic_value_name((enum nic_value)value), word);
	}
	json_close('}');
}

static void print_lowers(const struct nic_view *view, const struct nic_set *set)
{
	json_open("lowers", '[');
	for (unsigned i = 0; i < view->lower_count; i++) {
		const struct nic_view *lower = nic_by_index(set, view->lower[i]);

		json_string(NULL, lower ? lower->name : "?");
	}
	json_close(']');
}

static void print_softirqs(const struct softirqs *softirqs)
{
	char cpu_text[16];

	json_open("net_rx_softirq_share", '{');
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!softirqs->cpu[cpu])
			continue;
		snprintf(cpu_text, sizeof(cpu_text), "%d", cpu);
		json_share(cpu_text, softirqs->cpu[cpu], softirqs->total);
	}
	json_close('}');
}

static void print_lesson(const struct nic_view *view, const struct lesson_of *of)
{
	const struct lesson *lesson = &of->lesson;

	json_open("learned", '{');
	json_string("by", of->program);
	json_number("pid", (uint64_t)of->pid);
	json_string("way", lesson_way(lesson));
	json_number("connections", lesson->seen);
	json_number("contradicted", lesson->contradicted);
	json_number("forgotten", lesson->forgotten);
	json_bool("disproved", view->disproved);
	json_string("ipv4", lesson_state(lesson, FLOW_IPV4));
	json_string("ipv6", lesson_state(lesson, FLOW_IPV6));
	json_number("classes", lesson->learned.arrival.table.size);
	json_number("unknown", lesson->learned.unknown);
	json_close('}');
}

static void print_view(const struct nic_set *set, const struct nic_view *view,
		       const struct softirqs *softirqs, const struct lesson_of *lesson)
{
	const struct arrival *arrival = &view->arrival;
	char cpus[256];

	json_open(NULL, '{');
	json_number("ifindex", view->ifindex);
	json_string("name", view->name);
	json_string("kind", nic_kind_name(view->kind));
	json_string("driver", view->driver);
	json_bool("up", view->up);
	if (view->numa_node >= 0)
		json_number("numa_node", (uint64_t)view->numa_node);
	print_lowers(view, set);
	json_bool("spreads", view->spreads);
	reason("spreads_not", view->spreads, view->spreads_not);
	json_bool("predictable_ipv4", view->predictable[0]);
	reason("predictable_not_ipv4", view->predictable[0], view->predictable_not[0]);
	json_bool("predictable_ipv6", view->predictable[1]);
	reason("predictable_not_ipv6", view->predictable[1], view->predictable_not[1]);
	json_bool("doubtful", view->doubtful);
	json_bool("multi_queue", view->multi_queue);
	print_hash(view);
	json_number("queues", arrival->queue_count);
	json_number("tx_queues", view->tx_count);
	known_numbers("queue_cpus", arrival->queue_cpu, arrival->queue_count);
	known_numbers("tx_cpus", view->tx_cpu, view->tx_count);
	print_interrupts(view);
	print_xps(view);
	numbers("rps_cpus", arrival->rps.cpu, arrival->rps.count);
	json_bool("rps_differs", view->rps_differs);
	json_bool("rx_hash", view->rx_hash);
	json_bool("flow_director", view->flow_director);
	json_bool("ntuple", view->ntuple);
	json_bool("rfs", view->rfs);
	json_bool("accelerated_rfs", view->accelerated_rfs);
	json_bool("threaded_napi", view->threaded_napi);
	json_bool("learn", view->learn);
	json_number("rules", view->rules);
	json_number("contexts", view->contexts);
	json_string("cpus", cpu_set_text(&view->cpus, cpus, sizeof(cpus)));
	if (lesson)
		print_lesson(view, lesson);
	print_softirqs(softirqs);
	print_origins(view);
	json_close('}');
}

void nic_print_json(const struct nic_set *set, const struct nic_view *only,
		    const struct softirqs *softirqs, const struct lessons *lessons)
{
	if (!only)
		json_open(NULL, '[');
	for (unsigned i = 0; i < set->count; i++)
		if (!only || only == &set->view[i])
			print_view(set, &set->view[i], softirqs,
				   lesson_find(lessons, set->view[i].ifindex));
	if (!only)
		json_close(']');
	json_end();
}
