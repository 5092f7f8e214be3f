#include "shim/command/top_view.h"
#include "shim/command/heat.h"
#include "shim/command/report.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Few connections are looked at each second, so shares are of the last one to two of these. */
#define WINDOW_S 30

/* What is shown of the window: the memory as if everything older had not happened. */
static struct stat_memory *window_of(const struct top_view *view)
{
	struct stat_memory *window = malloc(sizeof(*window));

	if (!window)
		return NULL;
	memcpy(window, view->app.copy, sizeof(*window));
	if (view->older)
		stat_since(window, view->older);
	return window;
}

static void move_window(struct top_view *view)
{
	if (view->newer && view->now - view->newer_at < WINDOW_S)
		return;
	struct stat_memory *copy = malloc(sizeof(*copy));
	if (!copy)
		return;
	memcpy(copy, view->app.copy, sizeof(*copy));
	free(view->older);
	view->older = view->newer;
	view->older_at = view->newer_at;
	view->newer = copy;
	view->newer_at = view->now;
}

void top_view_read(struct top_view *view, double now)
{
	view->last = view->readable ? view->now : 0;
	view->last_totals = view->totals;
	view->now = now;
	view->readable = application_read(&view->app, view->why, sizeof(view->why)) == 0;
	if (!view->readable)
		return;
	stat_sum(&view->totals, view->app.copy);
	move_window(view);
}

static void print_rate(const struct top_view *view, uint64_t now, uint64_t then)
{
	double seconds = view->now - view->last;

	if (!view->last || seconds <= 0)
		printf("%12s", "-");
	else
		printf("%12.1f", now > then ? (double)(now - then) / seconds : 0);
}

static void print_section(const struct top_view *view, const struct stat_section_info *section,
			  bool *first)
{
	bool any = false;

	for (int c = 0; c < STAT_COUNTERS; c++) {
		if (!view->totals.counter[c] || !stat_is_in(c, section->name))
			continue;
		if (!any)
			printf("%12s%12s  %s\n", *first ? "a second" : "", *first ? "in all" : "",
			       section->title);
		any = true;
		*first = false;
		print_rate(view, view->totals.counter[c], view->last_totals.counter[c]);
		printf("%12" PRIu64 "  %s: %s\n", view->totals.counter[c], stat_counters[c].key,
		       stat_counters[c].help);
	}
}

static void print_shares(const struct stat_memory *window, enum stat_side side, const char *what)
{
	struct stat_outcome seen;
	char aligned[REPORT_SHARE_MAX], not [REPORT_SHARE_MAX], unpinned[REPORT_SHARE_MAX];

	stat_judge(&seen, window, side);
	if (!seen.looked_at)
		return;
	printf("  %-9s %s aligned, %s not, %s unpinned, of %" PRIu64, what,
	       report_share(seen.aligned, seen.looked_at, aligned),
	       report_share(seen.misaligned, seen.looked_at, not ),
	       report_share(seen.unpinned, seen.looked_at, unpinned), seen.looked_at);
	if (window->every == 1)
		printf("; %s would be", report_share(seen.reachable, seen.looked_at, aligned));
	putchar('\n');
}

static void print_window(const struct top_view *view, const struct stat_memory *window,
			 const struct screen *screen)
{
	static struct heat heat; /* 528 KB */
	struct heat_style style = {.width = screen->width, .color = screen->color};
	char share[REPORT_SHARE_MAX];
	uint64_t right = 0, wrong = 0;

	if (view->older)
		printf("\nIn the last %.0f s", view->now - view->older_at);
	else
		printf("\nSince it was started");
	puts(", of the connections that were looked at");
	print_shares(window, STAT_ACCEPT, "accepted");
	print_shares(window, STAT_CONNECT, "made");
	for (unsigned slot = 0; slot < NIC_MAX; slot++) {
		right += window->nic[slot].right;
		wrong += window->nic[slot].wrong;
	}
	if (right + wrong)
		printf("  predicted %s right, of %" PRIu64 "\n",
		       report_share(right, right + wrong, share), right + wrong);
	heat_load(&heat, window, STAT_ACCEPT);
	heat_print(&heat, "  accepted", &style);
	heat_load(&heat, window, STAT_CONNECT);
	heat_print(&heat, "  made", &style);
	report_places(window);
}

void top_view_print(const struct top_view *view, const struct screen *screen)
{
	bool first = true;

	if (!view->readable) {
		printf("%s\n", view->why);
		return;
	}
	report_title(&view->app);
	if (view->ended)
		puts("has ended: all of its processes are gone");
	for (int s = 0; s < STAT_SECTIONS; s++)
		print_section(view, &stat_sections[s], &first);
	struct stat_memory *window = window_of(view);
	if (window)
		print_window(view, window, screen);
	free(window);
}

void top_view_print_head(void)
{
	printf("%-16s %8s %5s %-9s %12s %8s %12s %8s\n", "program", "pid", "procs", "state",
	       "accepted/s", "aligned", "made/s", "aligned");
}

void top_view_print_line(const struct top_view *view)
{
	struct stat_outcome seen;
	char share[REPORT_SHARE_MAX];

	if (!view->readable) {
		printf("%s\n", view->why);
		return;
	}
	printf("%-16s %8d %5zu %-9s ", view->app.copy->program, view->app.root, view->app.count,
	       application_state(&view->app));
	struct stat_memory *window = window_of(view);
	for (int side = 0; window && side < STAT_SIDES; side++) {
		print_rate(view, stat_connections(&view->totals, side),
			   stat_connections(&view->last_totals, side));
		stat_judge(&seen, window, side);
		printf(" %8s ", report_share(seen.aligned, seen.looked_at, share));
	}
	putchar('\n');
	free(window);
}

void top_view_free(struct top_view *view)
{
	application_free(&view->app);
	free(view->older);
	free(view->newer);
}
