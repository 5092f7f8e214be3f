/* The memory of counters as the command reads it: what is in it may be anything. */
#include "shim/policy/show.h"
#include "shim/stat/stat_read.h"
#include <criterion/criterion.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static struct stat_memory memory, earlier;

static void sound(void)
{
	memset(&memory, 0, sizeof(memory));
	memory.magic = STAT_MAGIC;
	memory.abi = STAT_ABI;
	memory.size = sizeof(memory);
	memory.counters = STAT_COUNTERS;
	memory.every = STAT_LOOK_EVERY;
	strcpy(memory.version, "1");
	strcpy(memory.program, "server");
	policy_defaults(&memory.policy);
}

TestSuite(stat_read, .init = sound);

Test(stat_read, what_is_not_ours_is_refused)
{
	cr_expect_eq(stat_check(&memory, sizeof(memory)), 0);
	cr_expect_eq(stat_check(&memory, 0), -EPROTO);
	cr_expect_eq(stat_check(&memory, 8), -EPROTO);
	memory.magic = 0;
	cr_expect_eq(stat_check(&memory, sizeof(memory)), -EPROTO, "not written yet");
}

Test(stat_read, another_version_is_told_from_damage)
{
	cr_expect_eq(stat_check(&memory, sizeof(memory) - 1), -EPROTONOSUPPORT);
	cr_expect_eq(stat_check(&memory, sizeof(memory) + 1), -EPROTONOSUPPORT);
	memory.counters++;
	cr_expect_eq(stat_check(&memory, sizeof(memory)), -EPROTONOSUPPORT);
	sound();
	memory.abi++;
	cr_expect_eq(stat_check(&memory, sizeof(memory)), -EPROTONOSUPPORT);
	sound();
	memory.size--;
	cr_expect_eq(stat_check(&memory, sizeof(memory)), -EPROTONOSUPPORT);
}

Test(stat_read, texts_end_and_move_no_cursor)
{
	memset(memory.program, '\033', sizeof(memory.program));
	memset(memory.nic[3].name, 'x', sizeof(memory.nic[3].name));
	strcpy(memory.listener[1].reason, "a\nb\x80");
	cr_assert_eq(stat_check(&memory, sizeof(memory)), 0);
	cr_expect_eq(strlen(memory.program), sizeof(memory.program) - 1);
	cr_expect_eq(memory.program[0], '?');
	cr_expect_eq(strlen(memory.nic[3].name), sizeof(memory.nic[3].name) - 1);
	cr_expect_str_eq(memory.listener[1].reason, "a?b?");
}

Test(stat_read, lists_stay_within_their_pool)
{
	struct policy_nic *nic = &memory.policy.nic[POLICY_NICS_MAX - 1];

	memory.policy.listen_ports.count = POLICY_PORTS_MAX + 1;
	memory.policy.nic_count = POLICY_NICS_MAX + 1;
	nic->queue_cpus = (struct policy_list){.at = POLICY_POOL_MAX - 1, .count = 2};
	nic->indirection.entry = (struct policy_list){.at = 1, .count = UINT16_MAX};
	nic->hash_key.len = POLICY_KEY_MAX + 1;
	cr_assert_eq(stat_check(&memory, sizeof(memory)), 0);
	cr_expect_eq(memory.policy.listen_ports.count, POLICY_PORTS_MAX);
	cr_expect_eq(memory.policy.nic_count, POLICY_NICS_MAX);
	cr_expect_eq(nic->queue_cpus.count, 0);
	cr_expect_eq(nic->indirection.entry.count, 0);
	cr_expect_eq(nic->hash_key.len, POLICY_KEY_MAX);
}

Test(stat_read, counts_of_all_threads_make_the_sum)
{
	struct stat_totals totals;

	memory.block[0].counter[STAT_ACCEPT_MEMBER] = 3;
	memory.block[STAT_BLOCKS_MAX - 1].counter[STAT_ACCEPT_MEMBER] = 4;
	memory.crowd.counter[STAT_ACCEPT_COMMON] = 5;
	memory.block[1].counter[STAT_CONNECT_STEERED] = 6;
	memory.block[1].counter[STAT_CONNECT_TRIES] = 60;
	stat_sum(&totals, &memory);
	cr_expect_eq(totals.counter[STAT_ACCEPT_MEMBER], 7);
	cr_expect_eq(stat_connections(&totals, STAT_ACCEPT), 12);
	cr_expect_eq(stat_connections(&totals, STAT_CONNECT), 6, "tries are no connections");
}

Test(stat_read, each_counter_is_shown_somewhere)
{
	for (int c = 0; c < STAT_COUNTERS; c++) {
		bool shown = stat_is_in(c, "accept_seen") || stat_is_in(c, "connect_seen");

		for (int s = 0; s < STAT_SECTIONS; s++)
			shown |= stat_is_in(c, stat_sections[s].name);
		cr_expect(shown, "%s.%s", stat_counters[c].section, stat_counters[c].key);
	}
}

/* 10 on the diagonal of CPU 1, 3 of a thread on CPU 2, 2 of threads at home nowhere. */
static void look_at_fifteen(void)
{
	memory.table[STAT_ACCEPT][1].arrived[1] = 10;
	memory.table[STAT_ACCEPT][2].arrived[1] = 3;
	memory.table[STAT_ACCEPT][STAT_UNPINNED].arrived[1] = 2;
	memory.homes[0] = 1 << 1;
}

Test(stat_read, the_table_tells_what_is_aligned)
{
	struct stat_outcome seen;

	look_at_fifteen();
	stat_judge(&seen, &memory, STAT_ACCEPT);
	cr_expect_eq(seen.looked_at, 15);
	cr_expect_eq(seen.aligned, 10);
	cr_expect_eq(seen.misaligned, 3);
	cr_expect_eq(seen.unpinned, 2);
	cr_expect_eq(seen.reachable, 15, "some thread is at home on CPU 1");
	stat_judge_cpu(&seen, &memory, STAT_ACCEPT, 2);
	cr_expect_eq(seen.looked_at, 0, "nothing arrived on CPU 2");
	memory.homes[0] = 1 << 2;
	stat_judge(&seen, &memory, STAT_ACCEPT);
	cr_expect_eq(seen.reachable, 10, "without a home there nothing more can be aligned");
}

Test(stat_read, what_does_not_spread_is_no_gain)
{
	struct stat_outcome seen;

	look_at_fifteen();
	memory.nic[0].ifindex = 7;
	memory.nic[0].spreads = true;
	memory.column[STAT_ACCEPT][1].nic[0][STAT_ALIGNED] = 1;
	memory.column[STAT_ACCEPT][1].nic[0][STAT_MISALIGNED] = 1;
	stat_judge_nic(&seen, &memory, STAT_ACCEPT, 0);
	cr_expect_eq(seen.reachable, 2);
	stat_judge(&seen, &memory, STAT_ACCEPT);
	cr_expect_eq(seen.reachable, 15);
	memory.column[STAT_ACCEPT][1].nic[STAT_NO_NIC][STAT_MISALIGNED] = 2;
	stat_judge_nic(&seen, &memory, STAT_ACCEPT, STAT_NO_NIC);
	cr_expect_eq(seen.reachable, 0, "same-host clients: not steered");
	/* Half of the sample can be aligned: so can half of all, but no less than are. */
	stat_judge(&seen, &memory, STAT_ACCEPT);
	cr_expect_eq(seen.reachable, 10);
}

Test(stat_read, since_is_never_below_nothing)
{
	look_at_fifteen();
	memory.nic[0].right = 5;
	earlier = memory;
	memory.table[STAT_ACCEPT][1].arrived[1] = 14;
	memory.table[STAT_ACCEPT][2].arrived[1] = 1;
	memory.nic[0].right = 4;
	stat_since(&memory, &earlier);
	cr_expect_eq(memory.table[STAT_ACCEPT][1].arrived[1], 4);
	cr_expect_eq(memory.table[STAT_ACCEPT][2].arrived[1], 0);
	cr_expect_eq(memory.nic[0].right, 0);
}

Test(stat_read, shares)
{
	cr_expect_eq(stat_share(0, 0), 0);
	cr_expect_eq(stat_share(1, 3), 333);
	cr_expect_eq(stat_share(999999, 1000000), 999, "all means all");
	cr_expect_eq(stat_share(5, 4), 1000);
	cr_expect_leq(stat_share(UINT64_MAX - 1, UINT64_MAX), 1000);
}

static void expect_printable(const char *text, size_t size)
{
	cr_assert_lt(strnlen(text, size), size);
	for (; *text; text++)
		cr_assert(isprint((unsigned char)*text));
}

static void look_at_entry(const struct policy_entry *entry, void *context)
{
	char name[64], value[256], origin[POLICY_PATH_MAX];

	policy_show_name(entry, name, sizeof(name));
	policy_show_value(entry, value, sizeof(value));
	policy_show_origin(entry, origin, sizeof(origin));
	expect_printable(name, sizeof(name));
	expect_printable(value, sizeof(value));
	expect_printable(origin, sizeof(origin));
	++*(int *)context;
}

static void expect_usable(void)
{
	struct stat_outcome seen;
	int options = 0;

	expect_printable(memory.program, sizeof(memory.program));
	expect_printable(memory.version, sizeof(memory.version));
	for (int i = 0; i < STAT_LISTENERS_MAX; i++)
		expect_printable(memory.listener[i].reason, sizeof(memory.listener[i].reason));
	for (unsigned i = 0; i < NIC_MAX; i++) {
		expect_printable(memory.nic[i].name, sizeof(memory.nic[i].name));
		cr_assert_not_null(nic_kind_name(memory.nic[i].kind));
		cr_assert_not_null(nic_reason_text(memory.nic[i].spreads_not));
		cr_assert_leq(memory.nic[i].spreads, 1);
	}
	policy_visit(&memory.policy, look_at_entry, &options);
	cr_assert_geq(options, OPTION_COUNT);
	cr_assert_lt(memory.outgoing, STAT_OUTGOINGS);
	cr_assert_gt(memory.every, 0);
	for (int side = 0; side < STAT_SIDES; side++) {
		stat_judge(&seen, &memory, side);
		cr_assert_leq(stat_share(seen.aligned, seen.looked_at), 1000);
	}
}

/* All of it random, a part of it random, single bytes: the head stays, or it would be refused. */
Test(stat_read, random_damage)
{
	unsigned char *bytes = (unsigned char *)&memory;
	const size_t head = offsetof(struct stat_memory, every);

	srand(42);
	for (int round = 0; round < 60; round++) {
		size_t from = head, to = sizeof(memory);

		sound();
		if (round % 3) {
			/* Most of what is checked stands before the counters. */
			to = offsetof(struct stat_memory, crowd);
			from += (size_t)rand() % (to - from);
			to = from + (size_t)rand() % (to - from);
		}
		for (size_t i = from; i < to; i += round % 3 == 2 ? 97 : 1)
			bytes[i] = round % 2 ? (unsigned char)rand() : 0xff;
		cr_assert_eq(stat_check(&memory, sizeof(memory)), 0);
		expect_usable();
	}
}
