/* What an application did, for programs: rssshim stat --json. */
#include "shim/command/json.h"
#include "shim/command/listening.h"
#include "shim/command/nic.h"
#include "shim/command/report.h"
#include "shim/nic/nic_view.h"
#include <stdio.h>
#include <string.h>

static void json_outcome(const char *key, const struct stat_outcome *outcome, unsigned every)
{
	json_open(key, '{');
	json_number("every", every);
	json_number("looked_at", outcome->looked_at);
	json_number("aligned", outcome->aligned);
	json_number("misaligned", outcome->misaligned);
	json_number("unpinned", outcome->unpinned);
	json_number("would_be_aligned", outcome->reachable);
	if (outcome->looked_at)
		json_tenths("aligned_percent", stat_share(outcome->aligned, outcome->looked_at));
	json_close('}');
}

static void json_section(const char *section, const struct stat_totals *totals)
{
	json_open(section, '{');
	for (int c = 0; c < STAT_COUNTERS; c++)
		if (stat_is_in(c, section))
			json_number(stat_counters[c].key, totals->counter[c]);
	json_close('}');
}

static void json_place(const char *key, unsigned place)
{
	if (place == STAT_UNPINNED)
		json_string(key, "unpinned");
	else if (place == STAT_BEYOND)
		json_string(key, "more");
	else
		json_number(key, place);
}

static void json_table(const char *key, const struct stat_row *table)
{
	json_open(key, '[');
	for (unsigned r = 0; r < STAT_ROWS; r++) {
		for (unsigned c = 0; c < STAT_COLUMNS; c++) {
			if (!table[r].arrived[c])
				continue;
			json_open(NULL, '{');
			json_place("thread_cpu", r);
			json_place("packet_cpu", c);
			json_number("count", table[r].arrived[c]);
			json_close('}');
		}
	}
	json_close(']');
}

void report_json_listeners(const struct application *app)
{
	const struct stat_memory *copy = app->copy;
	char address[REPORT_ADDRESS_MAX];

	json_open("listeners", '[');
	for (unsigned i = 0; i < STAT_LISTENERS_MAX; i++) {
		const struct stat_listener *listener = &copy->listener[i];
		if (listener->state != STAT_LISTENER_SET)
			continue;
		report_address(listener, address, sizeof(address));
		json_open(NULL, '{');
		json_string("address", address);
		json_bool("open", listener_is_open(app->root, listener));
		json_bool("steered", listener->members);
		json_number("members", listener->members);
		json_string(listener->members ? "way" : "reason", listener->reason);
		json_close('}');
	}
	json_close(']');
}

static void json_cpus(const struct stat_memory *copy)
{
	struct stat_outcome side[STAT_SIDES];

	json_open("cpus", '[');
	for (unsigned cpu = 0; cpu < STAT_COLUMNS; cpu++) {
		for (int s = 0; s < STAT_SIDES; s++)
			stat_judge_cpu(&side[s], copy, s, cpu);
		if (!side[STAT_ACCEPT].looked_at && !side[STAT_CONNECT].looked_at)
			continue;
		json_open(NULL, '{');
		json_place("cpu", cpu);
		json_outcome("accepted", &side[STAT_ACCEPT], copy->every);
		json_outcome("made", &side[STAT_CONNECT], copy->every);
		json_close('}');
	}
	json_close(']');
}

static void json_predictable(const struct stat_nic *nic, int family)
{
	json_open(family ? "ipv6" : "ipv4", '{');
	json_bool("predictable", nic->predictable[family]);
	if (!nic->predictable[family])
		json_string("reason", nic_reason_name(nic->predictable_not[family]));
	json_close('}');
}

static void json_nic(const struct stat_memory *copy, unsigned slot)
{
	const struct stat_nic *nic = &copy->nic[slot];
	struct stat_outcome outcome;
	static char cpus[16384];

	json_open(NULL, '{');
	json_string("name", nic->name);
	json_number("ifindex", nic->ifindex);
	json_bool("gone", nic->gone);
	json_string("kind", nic_kind_name(nic->kind));
	json_number("queues", nic->queues);
	json_string("cpus", cpu_set_text(&nic->cpus, cpus, sizeof(cpus)));
	json_bool("spreads", nic->spreads);
	if (!nic->spreads)
		json_string("reason", nic_reason_name(nic->spreads_not));
	json_predictable(nic, 0);
	json_predictable(nic, 1);
	json_bool("learned", nic->learned);
	json_bool("trusted", !nic->mistrusted);
	json_number("predicted_right", nic->right);
	json_number("predicted_wrong", nic->wrong);
	stat_judge_nic(&outcome, copy, STAT_ACCEPT, slot);
	json_outcome("accepted", &outcome, copy->every);
	stat_judge_nic(&outcome, copy, STAT_CONNECT, slot);
	json_outcome("made", &outcome, copy->every);
	json_close('}');
}

void report_json_nics(const struct stat_memory *copy)
{
	json_open("nics", '[');
	for (unsigned slot = 0; slot < NIC_MAX; slot++)
		if (copy->nic[slot].ifindex)
			json_nic(copy, slot);
	json_close(']');
}

static void json_side(const struct stat_memory *copy, enum stat_side side, const char *key)
{
	struct stat_outcome outcome;

	stat_judge(&outcome, copy, side);
	json_outcome(key, &outcome, copy->every);
}

void report_json_title(const struct application *app)
{
	json_string("program", app->copy->program);
	json_number("pid", (uint64_t)app->root);
	json_open("processes", '[');
	for (size_t i = 0; i < app->count; i++)
		json_number(NULL, (uint64_t)app->pids[i]);
	json_close(']');
	json_string("version", app->copy->version);
	json_string("state", application_state(app));
}

void report_json(const struct application *app)
{
	struct stat_totals totals;

	stat_sum(&totals, app->copy);
	json_open(NULL, '{');
	report_json_title(app);
	for (int s = 0; s < STAT_SECTIONS; s++)
		json_section(stat_sections[s].name, &totals);
	json_side(app->copy, STAT_ACCEPT, "accept_seen");
	json_side(app->copy, STAT_CONNECT, "connect_seen");
	json_table("accept_arrivals", app->copy->table[STAT_ACCEPT]);
	json_table("connect_arrivals", app->copy->table[STAT_CONNECT]);
	json_cpus(app->copy);
	report_json_nics(app->copy);
	report_json_listeners(app);
	json_close('}');
}
