/* rssshim top: what the shim does, live. */
#include "shim/command/screen.h"
#include "shim/command/top_view.h"
#include "shim/command/verbs.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define INTERVAL_LEAST 0.1
#define INTERVAL_MOST  3600
#define COUNT_MOST     1000000000

struct top {
	struct screen screen;
	double interval;
	unsigned long frames; /* to be printed; 0: until told to stop */
	bool one;             /* an application was named: only that, until it ends */
	struct top_view *views;
	int count;
};

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* With what is known of it from before. */
static struct top_view follow(struct top *top, struct application *found)
{
	struct top_view view = {0};

	for (int i = 0; i < top->count; i++) {
		if (!application_same(&top->views[i].app, found))
			continue;
		view = top->views[i];
		top->views[i] = (struct top_view){.app.memory = -1};
		found->copy = view.app.copy;
		view.app.copy = NULL;
		application_free(&view.app);
		break;
	}
	view.app = application_take(found);
	return view;
}

static void free_views(struct top_view *views, int count)
{
	for (int i = 0; i < count; i++)
		top_view_free(&views[i]);
	free(views);
}

/* Which processes there are now. Returns false, and keeps what there was, where that cannot be
 * found out. */
static bool look_for(struct top *top)
{
	struct application *list;
	char why[256];
	int found = applications_find(0, false, &list, why, sizeof(why)), count = 0;
	struct top_view *views = calloc((size_t)(found > 0 ? found : 0) + 1, sizeof(*views));

	if (found < 0 || !views) {
		free(views);
		return false;
	}
	for (int i = 0; i < found; i++)
		if (!top->one || application_same(&list[i], &top->views[0].app))
			views[count++] = follow(top, &list[i]);
	applications_free(list, found);
	if (top->one && !count) {
		/* The memory is open here: it tells the end of the story. */
		top->views[0].ended = true;
		free(views);
		return true;
	}
	free_views(top->views, top->count);
	top->views = views;
	top->count = count;
	return true;
}

static void print_views(const struct top *top)
{
	if (top->count == 1) {
		top_view_print(&top->views[0], &top->screen);
		return;
	}
	if (!top->count) {
		puts("no application runs under the shim (or none that this user may look into)");
		return;
	}
	top_view_print_head();
	for (int i = 0; i < top->count; i++)
		top_view_print_line(&top->views[i]);
	puts("\nrssshim top PID shows one of them.");
}

static bool print_frame(struct top *top)
{
	double now = seconds_now();

	for (int i = 0; i < top->count; i++)
		top_view_read(&top->views[i], now);
	if (!screen_begin(&top->screen))
		return false;
	print_views(top);
	if (!top->screen.is_terminal)
		putchar('\n');
	screen_end(&top->screen);
	return true;
}

static void run(struct top *top)
{
	screen_open(&top->screen);
	while (print_frame(top)) {
		if (top->frames && --top->frames == 0)
			break;
		if (top->one && top->views[0].ended)
			break;
		if (!screen_wait(&top->screen, (unsigned)(top->interval * 1000)))
			break;
		look_for(top);
	}
	screen_close();
	if (top->one && top->views[0].ended && top->screen.is_terminal)
		printf("%s has ended\n", top->views[0].app.copy->program);
}

static bool number(const char *text, double least, double most, double *value)
{
	char *end;

	*value = strtod(text, &end);
	return end != text && !*end && *value >= least && *value <= most;
}

static bool parse(struct top *top, int argc, char **argv, pid_t *pid)
{
	static const struct option options[] = {{"interval", required_argument, NULL, 'i'},
						{"count", required_argument, NULL, 'n'},
						{0}};
	double count = 0;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'i':
			if (number(optarg, INTERVAL_LEAST, INTERVAL_MOST, &top->interval))
				break;
			fprintf(stderr, "rssshim top: --interval %s: not seconds (%g to %d)\n",
				optarg, INTERVAL_LEAST, INTERVAL_MOST);
			return false;
		case 'n':
			if (number(optarg, 1, COUNT_MOST, &count))
				break;
			fprintf(stderr, "rssshim top: --count %s: not frames (1 to %d)\n", optarg,
				COUNT_MOST);
			return false;
		default:
			verb_usage("top");
			return false;
		}
	}
	top->frames = (unsigned long)count;
	if (optind < argc && !application_pid("top", argv[optind++], pid))
		return false;
	if (optind < argc)
		verb_unexpected("top", argv[optind]);
	return optind == argc;
}

int verb_top(int argc, char **argv)
{
	struct top top = {.interval = 1};
	char why[256];
	pid_t pid = 0;
	struct application *list;

	if (!parse(&top, argc, argv, &pid))
		return 2;
	int found = applications_find(pid, false, &list, why, sizeof(why));
	if (found < 0) {
		fprintf(stderr, "rssshim top: %s\n", why);
		return 1;
	}
	top.one = pid != 0;
	top.views = calloc((size_t)found + 1, sizeof(*top.views));
	for (int i = 0; top.views && i < found; i++)
		top.views[top.count++] = (struct top_view){.app = application_take(&list[i])};
	applications_free(list, found);
	if (top.views)
		run(&top);
	free_views(top.views, top.count);
	return 0;
}
