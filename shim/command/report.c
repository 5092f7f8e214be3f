#include "shim/command/report.h"
#include "shim/command/json.h"
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void report_title(const struct application *app)
{
	printf("%s (pid %d", app->copy->program, app->root);
	if (app->count > 1)
		printf(", %zu processes", app->count);
	printf("): %s\n", application_state(app));
}

static bool is_in(int counter, const char *section)
{
	return strcmp(stat_counters[counter].section, section) == 0;
}

static void print_section(const char *section, const char *title, const struct stat_totals *totals)
{
	uint64_t any = 0;

	for (int c = 0; c < STAT_COUNTERS; c++)
		if (is_in(c, section))
			any |= totals->counter[c];
	if (!any)
		return;
	printf("  %s\n", title);
	for (int c = 0; c < STAT_COUNTERS; c++)
		if (is_in(c, section) && totals->counter[c])
			printf("%12" PRIu64 "  %s: %s\n", totals->counter[c], stat_counters[c].key,
			       stat_counters[c].help);
}

void report_counters(const struct application *app, const struct stat_totals *totals)
{
	(void)app;
	print_section("accept", "connections accepted", totals);
	print_section("connect", "connections made", totals);
	print_section("listen", "listeners", totals);
}

static void print_part(uint64_t part, uint64_t total, const char *what)
{
	unsigned share = stat_share(part, total);

	printf("%12" PRIu64 "  %s (%u.%u %%)\n", part, what, share / 10, share % 10);
}

void report_outcome(const char *what, const struct application *app, enum stat_side side)
{
	struct stat_outcome outcome;

	stat_judge(&outcome, app->copy, side);
	if (!outcome.looked_at)
		return;
	printf("  %s looked at: %" PRIu64, what, outcome.looked_at);
	if (app->copy->every > 1)
		printf(" (one in %u)", app->copy->every);
	putchar('\n');
	print_part(outcome.aligned, outcome.looked_at, "aligned");
	print_part(outcome.misaligned, outcome.looked_at, "not aligned");
	print_part(outcome.unpinned, outcome.looked_at, "unpinned: no thread to align them with");
	if (app->copy->every == 1)
		print_part(outcome.reachable, outcome.looked_at, "would be aligned if steered");
}

void report_address(const struct stat_listener *listener, char *out, size_t size)
{
	char text[INET6_ADDRSTRLEN] = "?";
	bool six = listener->family == AF_INET6;

	inet_ntop(six ? AF_INET6 : AF_INET, listener->address, text, sizeof(text));
	snprintf(out, size, six ? "[%s]:%u" : "%s:%u", text, listener->port);
}

static void json_outcome(const char *key, const struct application *app, enum stat_side side)
{
	struct stat_outcome outcome;

	stat_judge(&outcome, app->copy, side);
	json_open(key, '{');
	json_number("every", app->copy->every);
	json_number("looked_at", outcome.looked_at);
	json_number("aligned", outcome.aligned);
	json_number("misaligned", outcome.misaligned);
	json_number("unpinned", outcome.unpinned);
	json_number("would_be_aligned", outcome.reachable);
	if (outcome.looked_at)
		json_tenths("aligned_percent", stat_share(outcome.aligned, outcome.looked_at));
	json_close('}');
}

static void json_section(const char *section, const struct stat_totals *totals)
{
	json_open(section, '{');
	for (int c = 0; c < STAT_COUNTERS; c++)
		if (is_in(c, section))
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

static void json_listeners(const struct stat_memory *copy)
{
	char address[REPORT_ADDRESS_MAX];

	json_open("listeners", '[');
	for (unsigned i = 0; i < STAT_LISTENERS_MAX; i++) {
		const struct stat_listener *listener = &copy->listener[i];
		if (listener->state != STAT_LISTENER_SET)
			continue;
		report_address(listener, address, sizeof(address));
		json_open(NULL, '{');
		json_string("address", address);
		json_bool("steered", listener->members);
		json_number("members", listener->members);
		if (!listener->members)
			json_string("reason", listener->reason);
		json_close('}');
	}
	json_close(']');
}

void report_json(const struct application *app)
{
	struct stat_totals totals;

	stat_sum(&totals, app->copy);
	json_open(NULL, '{');
	json_string("program", app->copy->program);
	json_number("pid", (uint64_t)app->root);
	json_open("processes", '[');
	for (size_t i = 0; i < app->count; i++)
		json_number(NULL, (uint64_t)app->pids[i]);
	json_close(']');
	json_string("version", app->copy->version);
	json_string("state", application_state(app));
	json_section("accept", &totals);
	json_outcome("accept_seen", app, STAT_ACCEPT);
	json_section("connect", &totals);
	json_outcome("connect_seen", app, STAT_CONNECT);
	json_section("listen", &totals);
	json_table("accept_arrivals", app->copy->table[STAT_ACCEPT]);
	json_table("connect_arrivals", app->copy->table[STAT_CONNECT]);
	json_listeners(app->copy);
	json_close('}');
}
