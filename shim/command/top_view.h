/* One application as `rssshim top` sees it over time. */
#pragma once
#include "shim/command/application.h"
#include "shim/command/screen.h"

struct top_view {
	struct application app;
	bool ended; /* none of its processes is left; the memory still tells what they did */
	bool readable;
	char why[256]; /* it is not readable */

	double now, last; /* seconds, of a monotonic clock; last: of the frame before, 0: none */
	struct stat_totals totals, last_totals;
	/* Shares are of what was looked at since the older one, in the last minute or so. */
	struct stat_memory *older, *newer;
	double older_at, newer_at;
};

/* Reads its counters. */
void top_view_read(struct top_view *view, double now);
/* Everything about it, or a line of a table. */
void top_view_print(const struct top_view *view, const struct screen *screen);
void top_view_print_head(void);
void top_view_print_line(const struct top_view *view);
void top_view_free(struct top_view *view);
