#include "shim/command/nic.h"
#include "shim/command/nic_knowledge.h"
#include "shim/command/verbs.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

/* One that does not spread, or of which nobody knows yet. */
static void print_line(const struct nic_view *view, const struct lesson_of *of)
{
	printf("%s: %s: ", view->name, nic_kind_name(view->kind));
	if (of && view->learnable)
		printf("watched by %s (pid %d), %u connections so far: IPv4: %s; IPv6: %s\n",
		       of->program, (int)of->pid, of->lesson.seen,
		       lesson_state(&of->lesson, FLOW_IPV4), lesson_state(&of->lesson, FLOW_IPV6));
	else
		printf("%s\n", nic_reason_text(view->spreads_not));
}

static void print_all(const struct nic_set *set, const struct softirqs *softirqs,
		      const struct lessons *lessons)
{
	bool first = true;

	/* Those that matter in full, one line for each other. */
	for (unsigned i = 0; i < set->count; i++) {
		const struct nic_view *view = &set->view[i];

		if (view->kind != NIC_PHYSICAL && !view->spreads)
			continue;
		if (!first)
			putchar('\n');
		first = false;
		nic_print_table(view, set, softirqs, lesson_find(lessons, view->ifindex));
	}
	for (unsigned i = 0; i < set->count; i++) {
		const struct nic_view *view = &set->view[i];

		if (view->kind == NIC_PHYSICAL || view->spreads)
			continue;
		if (!first)
			putchar('\n');
		print_line(view, lesson_find(lessons, view->ifindex));
		first = true;
	}
	if (set->missed)
		printf("%u more interfaces are not looked at\n", set->missed);
}

static int failed(const char *why)
{
	fprintf(stderr, "rssshim nic: %s\n", why);
	return 1;
}

int verb_nic(int argc, char **argv)
{
	static const struct option options[] = {
		{"conf", required_argument, NULL, 'c'}, {"json", no_argument, NULL, 'j'}, {0}};
	static struct nic_knowledge known; /* 700 KB */
	static struct softirqs softirqs;
	struct lessons lessons;
	const struct nic_view *view = NULL;
	const char *conf = NULL;
	char why[256];
	bool json = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'c')
			conf = optarg;
		else if (option == 'j')
			json = true;
		else
			return verb_usage("nic");
	}
	if (argc - optind > 1)
		return verb_unexpected("nic", argv[optind + 1]);
	if (nic_knowledge_load(&known, conf, true, why, sizeof(why)))
		return failed(why);
	if (optind < argc) {
		view = nic_knowledge_find(&known, argv[optind], why, sizeof(why));
		if (!view)
			return failed(why);
	}
	lessons_take(&known.nics, &lessons);
	softirqs_read(&softirqs);
	if (json)
		nic_print_json(&known.nics, view, &softirqs, &lessons);
	else if (view)
		nic_print_table(view, &known.nics, &softirqs, lesson_find(&lessons, view->ifindex));
	else
		print_all(&known.nics, &softirqs, &lessons);
	free(lessons.list);
	return 0;
}
