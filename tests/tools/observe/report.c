/* Judges, counts, prints. */
#include "observe.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const verdict_names[] = {"aligned", "misaligned", "unpinned", "unknown"};
static const char *const kind_names[] = {"accepted", "upstream"};

static bool pinned(const struct thread *t)
{
	cpu_set_t both;

	/* A thread that may also run, or only runs, where nothing is received has no home: nothing
	 * could be aligned with it, and nothing it serves is anybody's mistake. */
	CPU_AND(&both, &t->mask, &opt.cpus);
	return CPU_EQUAL(&both, &t->mask) && CPU_COUNT(&both) < CPU_COUNT(&opt.cpus);
}

static void judge(struct leg *leg)
{
	struct thread *t = thread_at(leg->thread);

	if (!t || leg->packet_cpu < 0)
		leg->verdict = UNKNOWN;
	else if (!pinned(t))
		leg->verdict = UNPINNED;
	else
		leg->verdict = CPU_ISSET(leg->packet_cpu, &t->mask) ? ALIGNED : MISALIGNED;
	if (t) {
		t->legs[leg->kind]++;
		t->aligned[leg->kind] += leg->verdict == ALIGNED;
	}
}

/* The columns of the table: every mask that serves a connection, told by its text. */
static struct list masks = {.size = sizeof(const char *)};

static int mask_column(const char *text)
{
	each (const char *, known, &masks)
		if (!strcmp(*known, text))
			return known - (const char **)masks.at;
	*(const char **)list_add(&masks) = text;
	return masks.count - 1;
}

static const char *leg_mask(const struct leg *leg)
{
	return leg->thread >= 0 ? thread_at(leg->thread)->mask_text : "?";
}

static int compare_mask(const void *a, const void *b)
{
	return strverscmp(*(const char *const *)a, *(const char *const *)b);
}

struct tally {
	unsigned int total, verdict[VERDICTS];
	unsigned int *cell; /* [packet CPU + 1][mask column] */
};

static int packet_rows = 1; /* -1 (none yet), 0, 1 .. */

static struct tally tally(unsigned int kinds)
{
	struct tally t = {.cell = calloc((size_t)packet_rows * masks.count + 1, sizeof(int))};

	if (!t.cell)
		abort();
	each (struct leg, leg, &scene.legs) {
		if (!(kinds & 1u << leg->kind))
			continue;
		t.total++;
		t.verdict[leg->verdict]++;
		t.cell[(leg->packet_cpu + 1) * masks.count + mask_column(leg_mask(leg))]++;
	}
	return t;
}

static double share(const struct tally *t)
{
	return t->total ? 100.0 * t->verdict[ALIGNED] / t->total : 0;
}

static unsigned int row_sum(const struct tally *t, int row)
{
	unsigned int sum = 0;

	for (size_t column = 0; column < masks.count; column++)
		sum += t->cell[row * masks.count + column];
	return sum;
}

static void tally_text(const char *title, const struct tally *t)
{
	printf("%s: %u connections, %u aligned (%.1f %%)", title, t->total, t->verdict[ALIGNED],
	       share(t));
	for (int v = MISALIGNED; v < VERDICTS; v++)
		printf(", %u %s", t->verdict[v], verdict_names[v]);
	printf("\n");
	if (!t->total)
		return;
	printf("  packets on CPU | served by a thread on CPUs\n%16s |", "");
	each (const char *, mask, &masks)
		printf(" %7s", *mask);
	printf("\n");
	for (int row = 0; row < packet_rows; row++) {
		if (!row_sum(t, row))
			continue;
		printf("%16d |", row - 1);
		for (size_t column = 0; column < masks.count; column++)
			printf(" %7u", t->cell[row * masks.count + column]);
		printf("\n");
	}
}

static void tally_json(const struct tally *t)
{
	const char *comma = "";

	printf("\"total\":%u", t->total);
	for (int v = 0; v < VERDICTS; v++)
		printf(",\"%s\":%u", verdict_names[v], t->verdict[v]);
	printf(",\"share\":%.1f,\"table\":{", share(t));
	for (int row = 0; row < packet_rows; row++) {
		const char *inner = "";

		if (!row_sum(t, row))
			continue;
		printf("%s\"%d\":{", comma, row - 1);
		for (size_t column = 0; column < masks.count; column++) {
			printf("%s\"%s\":%u", inner, ((const char **)masks.at)[column],
			       t->cell[row * masks.count + column]);
			inner = ",";
		}
		printf("}");
		comma = ",";
	}
	printf("}");
}

/* A proxy's session is an accepted leg and an upstream one in the same thread; which belongs to
 * which cannot be seen from outside. So bounds: with S sessions in a thread, a and u of their legs
 * aligned, at least a + u - S sessions have both aligned, at most the smaller of the two. */
static void sessions(unsigned int *total, unsigned int *least, unsigned int *most)
{
	*total = *least = *most = 0;
	each (struct thread, t, &scene.threads) {
		unsigned int in = t->legs[ACCEPTED], out = t->legs[UPSTREAM];
		unsigned int all = in > out ? in : out;
		unsigned int a = t->aligned[ACCEPTED], u = t->aligned[UPSTREAM];

		*total += all;
		*least += a + u > all ? a + u - all : 0;
		*most += a < u ? a : u;
	}
}

static void address_format(const struct sockaddr_storage *a, char *out, size_t size)
{
	char ip[INET6_ADDRSTRLEN] = "?";

	if (a->ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)a)->sin6_addr, ip, sizeof(ip));
		snprintf(out, size, "[%s]:%d", ip, port_of(a));
	} else {
		inet_ntop(AF_INET, &((const struct sockaddr_in *)a)->sin_addr, ip, sizeof(ip));
		snprintf(out, size, "%s:%d", ip, port_of(a));
	}
}

static void print_legs(void)
{
	printf("#pid tid fd kind local remote packet_cpu thread_mask verdict\n");
	each (struct leg, leg, &scene.legs) {
		struct thread *t = thread_at(leg->thread);
		char local[64], remote[64];

		address_format(&leg->local, local, sizeof(local));
		address_format(&leg->remote, remote, sizeof(remote));
		printf("%d %d %d %s %s %s %d %s %s\n", leg->pid, t ? t->tid : 0, leg->fd,
		       kind_names[leg->kind], local, remote, leg->packet_cpu, leg_mask(leg),
		       verdict_names[leg->verdict]);
	}
}

void report(void)
{
	struct tally all, part[KINDS];
	unsigned int total, least, most;

	each (struct leg, leg, &scene.legs) {
		judge(leg);
		mask_column(leg_mask(leg));
		if (leg->packet_cpu + 2 > packet_rows)
			packet_rows = leg->packet_cpu + 2;
	}
	if (masks.count)
		qsort(masks.at, masks.count, masks.size, compare_mask);
	all = tally(~0u);
	for (int kind = 0; kind < KINDS; kind++)
		part[kind] = tally(1u << kind);
	sessions(&total, &least, &most);

	if (opt.json) {
		printf("{");
		tally_json(&all);
		for (int kind = 0; kind < KINDS; kind++) {
			printf(",\"%s\":{", kind_names[kind]);
			tally_json(&part[kind]);
			printf("}");
		}
		printf(",\"sessions\":{\"total\":%u,\"aligned_least\":%u,\"aligned_most\":%u}}\n",
		       total, least, most);
		return;
	}
	if (opt.list)
		print_legs();
	for (int kind = 0; kind < KINDS; kind++)
		if (part[kind].total || (kind == UPSTREAM ? opt.upstreams : opt.listens))
			tally_text(kind_names[kind], &part[kind]);
	if (opt.sessions)
		printf("sessions: %u, both legs aligned in %u to %u\n", total, least, most);
}
