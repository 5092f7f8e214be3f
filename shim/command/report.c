#include "shim/command/report.h"
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>

void report_title(const struct application *app)
{
	printf("%s (pid %d", app->copy->program, app->root);
	if (app->count > 1)
		printf(", %zu processes", app->count);
	printf("): %s\n", application_state(app));
}

static void print_section(const struct stat_section_info *section, const struct stat_totals *totals)
{
	bool any = false;

	for (int c = 0; c < STAT_COUNTERS; c++) {
		if (!totals->counter[c] || !stat_is_in(c, section->name))
			continue;
		if (!any)
			printf("  %s\n", section->title);
		any = true;
		printf("%12" PRIu64 "  %s: %s\n", totals->counter[c], stat_counters[c].key,
		       stat_counters[c].help);
	}
}

void report_counters(const struct stat_totals *totals)
{
	for (int s = 0; s < STAT_SECTIONS; s++)
		print_section(&stat_sections[s], totals);
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
	if (app->copy->every > 1 && side == STAT_ACCEPT)
		printf(" (one in %u)", app->copy->every);
	else if (app->copy->every > 1)
		printf(" (a sample)");
	putchar('\n');
	print_part(outcome.aligned, outcome.looked_at, "aligned");
	print_part(outcome.misaligned, outcome.looked_at, "not aligned");
	print_part(outcome.unpinned, outcome.looked_at, "unpinned: no thread to align them with");
	if (app->copy->every == 1)
		print_part(outcome.reachable, outcome.looked_at, "would be aligned if steered");
}

const char *report_share(uint64_t part, uint64_t total, char text[REPORT_SHARE_MAX])
{
	unsigned share = stat_share(part, total);

	if (total)
		snprintf(text, REPORT_SHARE_MAX, "%u.%u %%", share / 10, share % 10);
	else
		snprintf(text, REPORT_SHARE_MAX, "-");
	return text;
}

/* A line of the tables by CPU and by interface: for each side how many, and how many of them are
 * aligned, or would be. */
static bool print_place(const char *name, const struct stat_outcome side[STAT_SIDES], bool observe)
{
	char share[REPORT_SHARE_MAX];

	if (!side[STAT_ACCEPT].looked_at && !side[STAT_CONNECT].looked_at)
		return false;
	printf("%16s", name);
	for (int s = 0; s < STAT_SIDES; s++) {
		uint64_t total = side[s].looked_at;

		printf("%13" PRIu64 " %9s", total, report_share(side[s].aligned, total, share));
		if (observe)
			printf(" %9s", report_share(side[s].reachable, total, share));
	}
	return true;
}

static void print_places_head(const char *what, bool observe)
{
	printf("  %-14s", what);
	for (int s = 0; s < STAT_SIDES; s++) {
		printf("%13s %9s", s == STAT_ACCEPT ? "accepted" : "made", "aligned");
		if (observe)
			printf(" %9s", "could be");
	}
	putchar('\n');
}

static bool is_any_looked_at(const struct stat_memory *copy)
{
	struct stat_outcome outcome;
	bool any = false;

	for (int side = 0; side < STAT_SIDES; side++) {
		stat_judge(&outcome, copy, side);
		any |= outcome.looked_at != 0;
	}
	return any;
}

static void print_cpus(const struct stat_memory *copy, bool observe)
{
	struct stat_outcome side[STAT_SIDES];
	char name[32];

	print_places_head("packets on", observe);
	for (unsigned cpu = 0; cpu < STAT_COLUMNS; cpu++) {
		for (int s = 0; s < STAT_SIDES; s++)
			stat_judge_cpu(&side[s], copy, s, cpu);
		snprintf(name, sizeof(name), cpu == STAT_BEYOND ? "CPU > %u" : "CPU %u",
			 cpu == STAT_BEYOND ? cpu - 1 : cpu);
		if (print_place(name, side, observe))
			putchar('\n');
	}
}

static void print_nics(const struct stat_memory *copy, bool observe)
{
	struct stat_outcome side[STAT_SIDES];
	char share[REPORT_SHARE_MAX];
	bool any = false;

	for (unsigned slot = 0; slot <= STAT_NO_NIC; slot++) {
		const struct stat_nic *nic = &copy->nic[slot % NIC_MAX];
		const char *name = slot == STAT_NO_NIC ? "another" : nic->name;

		for (int s = 0; s < STAT_SIDES; s++)
			stat_judge_nic(&side[s], copy, s, slot);
		if (!any && (side[STAT_ACCEPT].looked_at || side[STAT_CONNECT].looked_at))
			print_places_head("by", observe);
		if (!print_place(name, side, observe))
			continue;
		any = true;
		if (slot != STAT_NO_NIC && nic->right + nic->wrong)
			printf("   predicted %s",
			       report_share(nic->right, nic->right + nic->wrong, share));
		putchar('\n');
	}
}

void report_places(const struct stat_memory *copy)
{
	bool observe = copy->every == 1;

	if (!is_any_looked_at(copy))
		return;
	print_cpus(copy, observe);
	print_nics(copy, observe);
}

void report_address(const struct stat_listener *listener, char *out, size_t size)
{
	char text[INET6_ADDRSTRLEN] = "?";
	bool six = listener->family == AF_INET6;

	inet_ntop(six ? AF_INET6 : AF_INET, listener->address, text, sizeof(text));
	snprintf(out, size, six ? "[%s]:%u" : "%s:%u", text, listener->port);
}
