/* rssshim stat: what the shim did, once. */
#include "shim/command/heat.h"
#include "shim/command/json.h"
#include "shim/command/report.h"
#include "shim/command/verbs.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void print_heat(const struct application *app, enum stat_side side, const char *title)
{
	static struct heat heat; /* 528 KB */
	struct heat_style style = {.width = 100};

	heat_load(&heat, app->copy, side);
	heat_print(&heat, title, &style);
}

static void print_text(const struct application *app)
{
	struct stat_totals totals;

	stat_sum(&totals, app->copy);
	report_title(app);
	report_counters(&totals);
	report_outcome("accepted connections", app, STAT_ACCEPT);
	report_outcome("outgoing connections", app, STAT_CONNECT);
	report_places(app->copy);
	print_heat(app, STAT_ACCEPT, "  accepted");
	print_heat(app, STAT_CONNECT, "  outgoing");
}

/* Returns false where an application could not be read, which is said. */
static bool print_all(struct application *list, int count, bool json)
{
	char why[256];
	bool good = true, first = true;

	for (int i = 0; i < count; i++) {
		if (application_read(&list[i], why, sizeof(why)) < 0) {
			fprintf(stderr, "rssshim stat: %s\n", why);
			good = false;
			continue;
		}
		if (json)
			report_json(&list[i]);
		else {
			if (!first)
				putchar('\n');
			print_text(&list[i]);
		}
		first = false;
	}
	return good;
}

int verb_stat(int argc, char **argv)
{
	struct application *list;
	bool json = false;
	char why[256];
	pid_t pid = 0;

	if (!application_arguments("stat", argc, argv, &pid, &json))
		return 2;
	int count = applications_find(pid, false, &list, why, sizeof(why));
	if (count < 0) {
		fprintf(stderr, "rssshim stat: %s\n", why);
		return 1;
	}
	/* One process: an object. All: an array of them. */
	if (json && !pid)
		json_open(NULL, '[');
	bool good = print_all(list, count, json);
	if (json && !pid)
		json_close(']');
	if (json)
		json_end();
	else if (!count)
		puts("no application runs under the shim (or none that this user may look into)");
	applications_free(list, count);
	return good ? 0 : 1;
}
