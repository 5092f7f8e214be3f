#include "shim/command/explain.h"
#include "shim/command/listening.h"
#include "shim/command/nic.h"
#include "shim/command/policy_table.h"
#include "shim/command/report.h"
#include "shim/command/threads.h"
#include <inttypes.h>
#include <stdio.h>

#define CPUS_TEXT_MAX 64

static void print_policy(const struct stat_memory *copy)
{
	printf("\nPolicy: %s\n",
	       copy->policy.file.text[0] ? copy->policy.file.text : "no file, defaults");
	policy_table_print(&copy->policy);
}

static void print_nic(const struct stat_nic *nic)
{
	static const char *const family[] = {"IPv4", "IPv6"};
	char cpus[CPUS_TEXT_MAX], share[REPORT_SHARE_MAX];
	bool same = nic->predictable[0] == nic->predictable[1] &&
		    nic->predictable_not[0] == nic->predictable_not[1];

	printf("  %s: %s", nic->name, nic_kind_name(nic->kind));
	if (nic->queues)
		printf(", %u receive queue%s", nic->queues, nic->queues == 1 ? "" : "s");
	if (CPU_COUNT(&nic->cpus))
		printf(", CPUs %s", cpu_set_text(&nic->cpus, cpus, sizeof(cpus)));
	if (nic->learned)
		printf(", learned by watching");
	if (nic->gone)
		printf(", gone meanwhile");
	printf("\n    in:  %s%s\n", nic->spreads ? "steered" : "not steered: ",
	       nic->spreads ? "" : nic_reason_text(nic->spreads_not));
	for (int f = 0; f < (same ? 1 : 2); f++)
		printf("    out: %s%s%s%s\n", same ? "" : family[f], same ? "" : ": ",
		       nic->predictable[f] ? "ports can be chosen" : "ports are not chosen: ",
		       nic->predictable[f] ? "" : nic_reason_text(nic->predictable_not[f]));
	if (nic->mistrusted)
		puts("    out: suspended: connections do not arrive where predicted (rssshim nic)");
	if (nic->right + nic->wrong)
		printf("    %s of %" PRIu64 " predictions looked at were right\n",
		       report_share(nic->right, nic->right + nic->wrong, share),
		       nic->right + nic->wrong);
}

static void print_listeners(const struct application *app)
{
	const struct stat_memory *copy = app->copy;
	char address[REPORT_ADDRESS_MAX];
	bool any = false;

	puts("\nListeners");
	for (unsigned i = 0; i < STAT_LISTENERS_MAX; i++) {
		const struct stat_listener *listener = &copy->listener[i];

		if (listener->state != STAT_LISTENER_SET)
			continue;
		any = true;
		report_address(listener, address, sizeof(address));
		if (!listener_is_open(app->root, listener))
			printf("  %s: closed meanwhile\n", address);
		else if (listener->members)
			printf("  %s: steered, %u member sockets: %s\n", address, listener->members,
			       listener->reason);
		else
			printf("  %s: not steered: %s\n", address, listener->reason);
	}
	if (!any)
		puts("  none so far");
}

static void print_outgoing(const struct stat_memory *copy)
{
	struct stat_totals totals;
	const char *text;
	bool chosen = explain_outgoing(copy, &text);

	printf("\nOutgoing connections\n  %s%s\n", chosen ? "" : "not steered: ", text);
	stat_sum(&totals, copy);
	for (int c = 0; c < STAT_COUNTERS; c++)
		if (totals.counter[c] && stat_is_in(c, "connect"))
			printf("%12" PRIu64 "  %s: %s\n", totals.counter[c], stat_counters[c].key,
			       stat_counters[c].help);
}

struct tally {
	unsigned idle, idle_unpinned;
};

static void print_thread(const struct thread_facts *thread, void *context)
{
	struct tally *tally = context;
	char cpus[CPUS_TEXT_MAX];

	if (!thread->accepted && !thread->made) {
		tally->idle++;
		tally->idle_unpinned += !thread->at_home;
		return;
	}
	printf("  %7d  %-16s %10" PRIu64 " accepted %10" PRIu64 " made  %s: CPUs %s\n", thread->tid,
	       thread->name, thread->accepted, thread->made,
	       thread->at_home ? "at home" : "unpinned, nothing is aligned with it",
	       cpu_set_text(&thread->cpus, cpus, sizeof(cpus)));
}

static void print_threads(const struct application *app)
{
	struct tally tally = {0};
	char cpus[CPUS_TEXT_MAX];

	printf("\nThreads (packets arrive on CPUs %s)\n",
	       cpu_set_text(&app->copy->receiving, cpus, sizeof(cpus)));
	threads_visit(app, print_thread, &tally);
	if (tally.idle)
		printf("  %u more that served nothing so far, %u of them unpinned\n", tally.idle,
		       tally.idle_unpinned);
}

void explain_text(const struct application *app)
{
	const struct stat_memory *copy = app->copy;

	report_title(app);
	print_policy(copy);
	puts("\nInterfaces");
	for (unsigned i = 0; i < NIC_MAX; i++)
		if (copy->nic[i].ifindex)
			print_nic(&copy->nic[i]);
	print_listeners(app);
	print_outgoing(copy);
	print_threads(app);
}
