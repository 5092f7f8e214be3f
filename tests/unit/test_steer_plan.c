/* The plan must leave no CPU without a worker nor a worker without connections, whatever the
 * numbers of queues and workers; and prefer near to far. */
#include "shim/decide/steer_plan.h"
#include "shim/kernel/topology.h"
#include <criterion/criterion.h>
#include <stdlib.h>

static struct steer_input input;
static struct steer_plan plan;
static struct cpu_topology topology;
static bool has_parts; /* then a CPU names a slot more than once */

static int by_topology(const void *context, int cpu, int other)
{
	return topology_distance(context, cpu, other);
}

/* Nodes of `node` CPUs, in them caches of `cache` CPUs, in them cores of two. */
static void machine(int cpus, int cache, int node)
{
	topology.count = (uint16_t)cpus;
	for (int cpu = 0; cpu < cpus; cpu++) {
		topology.core[cpu] = (int16_t)(cpu / 2 * 2);
		topology.cache[cpu] = (int16_t)(cpu / cache * cache);
		topology.node[cpu] = (int16_t)(cpu / node * node);
	}
	input.distance = by_topology;
	input.distance_context = &topology;
}

/* Slots for CPUs first to first + count - 1. */
static void slots_from(int first, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		input.slot_cpu[input.slot_count++] = (uint16_t)(first + (int)i);
}

static void watch_from(unsigned first, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		slot_add(&input.watched, first + i);
}

static void arrive_at(int first, int count)
{
	for (int i = 0; i < count; i++)
		CPU_SET(first + i, &input.arrivals);
}

static void clear(void)
{
	memset(&input, 0, sizeof(input));
	memset(&plan, 0xee, sizeof(plan));
	has_parts = false;
}

static const struct steer_entry *entry_of(int cpu)
{
	for (unsigned e = 0; e < plan.cpu_count; e++)
		if (plan.entry[e].cpu == cpu)
			return &plan.entry[e];
	return NULL;
}

static bool names(const struct steer_entry *entry, unsigned slot)
{
	for (unsigned i = 0; entry && i < entry->count; i++)
		if (plan.target[entry->first + i] == slot)
			return true;
	return false;
}

static unsigned named_by(unsigned slot)
{
	unsigned count = 0;

	for (unsigned e = 0; e < plan.cpu_count; e++)
		count += names(&plan.entry[e], slot);
	return count;
}

/* What must hold for any input. */
static void make_and_check(void)
{
	steer_plan_make(&plan, &input);
	cr_assert_leq(plan.cpu_count, STEER_CPUS_MAX);
	cr_assert_leq(plan.target_count, STEER_TARGETS_MAX);
	int last = -1;
	for (unsigned e = 0; e < plan.cpu_count; e++) {
		const struct steer_entry *entry = &plan.entry[e];
		cr_assert_gt(entry->cpu, last);
		last = entry->cpu;
		cr_assert(CPU_ISSET(entry->cpu, &input.arrivals));
		cr_assert_gt(entry->count, 0);
		cr_assert_leq(entry->first + entry->count, plan.target_count);
		for (unsigned i = 0; i < entry->count; i++) {
			unsigned slot = plan.target[entry->first + i];
			cr_assert_lt(slot, input.slot_count);
			cr_assert(slot_in(&input.watched, slot));
			for (unsigned j = 0; j < i && !has_parts; j++)
				cr_assert_neq(plan.target[entry->first + j], slot);
		}
	}
}

TestSuite(steer_plan, .init = clear);

Test(steer_plan, a_worker_a_queue)
{
	slots_from(0, 4);
	watch_from(0, 4);
	arrive_at(0, 4);
	make_and_check();
	cr_assert_eq(plan.cpu_count, 4);
	for (int cpu = 0; cpu < 4; cpu++) {
		cr_expect_eq(entry_of(cpu)->count, 1);
		cr_expect(names(entry_of(cpu), (unsigned)cpu));
		cr_expect_eq(plan.home[cpu], cpu);
	}
}

Test(steer_plan, slots_in_any_order)
{
	input.slot_count = 3;
	input.slot_cpu[0] = 9;
	input.slot_cpu[1] = 700;
	input.slot_cpu[2] = 3;
	watch_from(0, 3);
	arrive_at(9, 1);
	arrive_at(700, 1);
	arrive_at(3, 1);
	make_and_check();
	cr_expect(names(entry_of(9), 0));
	cr_expect(names(entry_of(700), 1));
	cr_expect(names(entry_of(3), 2));
}

Test(steer_plan, nobody_watches)
{
	slots_from(0, 8);
	arrive_at(0, 8);
	make_and_check();
	cr_expect_eq(plan.cpu_count, 0);
	watch_from(8, 8); /* slots that do not exist */
	make_and_check();
	cr_expect_eq(plan.cpu_count, 0);
}

Test(steer_plan, no_queue_is_known)
{
	slots_from(0, 2);
	watch_from(0, 2);
	make_and_check();
	cr_expect_eq(plan.cpu_count, 0);
	cr_expect_eq(plan.home[0], -1);
}

/* CPUs 0,1 are one core, 0-3 one cache, 0-7 one node. */
Test(steer_plan, the_nearest_set)
{
	machine(16, 4, 8);
	slots_from(0, 16);
	arrive_at(0, 16);
	slot_add(&input.watched, 1);
	slot_add(&input.watched, 2);
	slot_add(&input.watched, 3);
	slot_add(&input.watched, 4);
	slot_add(&input.watched, 8);
	make_and_check();
	cr_assert_eq(plan.cpu_count, 16);

	cr_expect(entry_of(0)->count == 1 && names(entry_of(0), 1), "its hardware sibling");
	cr_expect(entry_of(5)->count == 1 && names(entry_of(5), 4), "its hardware sibling");
	cr_expect(entry_of(6)->count == 1 && names(entry_of(6), 4), "the cache before the node");
	for (int cpu = 10; cpu < 16; cpu++)
		cr_expect(entry_of(cpu)->count == 1 && names(entry_of(cpu), 8), "the own node");

	slot_remove(&input.watched, 1);
	make_and_check();
	for (int cpu = 0; cpu < 2; cpu++)
		cr_expect(entry_of(cpu)->count == 2 && names(entry_of(cpu), 2) &&
				  names(entry_of(cpu), 3),
			  "all of the nearest set");

	slot_remove(&input.watched, 8);
	make_and_check();
	cr_expect(entry_of(12)->count == 3 && names(entry_of(12), 4), "a far node before none");
}

Test(steer_plan, without_distances_all_are_near)
{
	slots_from(0, 6);
	arrive_at(0, 6);
	watch_from(1, 2);
	make_and_check();
	cr_expect_eq(entry_of(5)->count, 2);
	cr_expect_eq(named_by(1), 5);
	cr_expect_eq(named_by(2), 5);
}

/* Where a part goes elsewhere there is a target for each eighth. */
static void check_shifted(unsigned entry, const unsigned *expected)
{
	unsigned hits[SLOTS_MAX] = {0};

	for (unsigned i = 0; i < plan.entry[entry].count; i++)
		hits[plan.target[plan.entry[entry].first + i]]++;
	for (unsigned s = 0; s < input.slot_count; s++)
		cr_expect_eq(hits[s], expected[s], "CPU entry %u, slot %u: %u", entry, s, hits[s]);
}

Test(steer_plan, parts_elsewhere)
{
	slots_from(0, 4);
	watch_from(0, 4);
	arrive_at(0, 4);
	has_parts = true;
	input.parts[1] = 0x00010200000003; /* one to 4, which is none, one to 3, one to 2 */
	input.parts[3] = 0xff;             /* 2 */
	make_and_check();
	check_shifted(0, (unsigned[]){1, 0, 0, 0});
	check_shifted(1, (unsigned[]){0, 6, 1, 1});
	check_shifted(3, (unsigned[]){0, 0, 1, 7});
	slot_remove(&input.watched, 2);
	input.parts[1] = 0x01;
	make_and_check();
	check_shifted(1, (unsigned[]){0, 8, 0, 0});
	cr_expect_eq(plan.home[1], 1);
}

Test(steer_plan, parts_of_a_cpu_with_a_guest)
{
	slots_from(0, 3);
	watch_from(0, 3);
	arrive_at(0, 2);
	has_parts = true;
	input.parts[0] = 0x0101;
	make_and_check();
	check_shifted(0, (unsigned[]){6, 2, 8});
	check_shifted(1, (unsigned[]){0, 1, 0});
}

/* As many as there is room for, and still one for each CPU without a worker. */
Test(steer_plan, parts_of_all)
{
	slots_from(0, 128);
	watch_from(0, 128);
	arrive_at(0, 256);
	has_parts = true;
	for (unsigned s = 0; s < 128; s++)
		input.parts[s] = s < 127 ? 1 : 0xff;
	make_and_check();
	cr_expect_eq(plan.cpu_count, STEER_CPUS_MAX);
	cr_expect_eq(plan.entry[0].count, 8);
	cr_expect_eq(plan.entry[127].count, 1);
}

/* 8 workers, 2 queues: all must get connections, four a queue. */
Test(steer_plan, more_workers_than_queues)
{
	machine(8, 8, 8);
	slots_from(0, 8);
	watch_from(0, 8);
	arrive_at(2, 1);
	arrive_at(5, 1);
	make_and_check();
	cr_assert_eq(plan.cpu_count, 2);
	for (unsigned slot = 0; slot < 8; slot++)
		cr_expect_eq(named_by(slot), 1, "slot %u", slot);
	cr_expect(names(entry_of(2), 2) && names(entry_of(2), 3), "home, and its sibling");
	cr_expect(names(entry_of(5), 5) && names(entry_of(5), 4), "home, and its sibling");
	cr_expect_eq(entry_of(2)->count, 4);
	cr_expect_eq(plan.home[3], 2);
	cr_expect_eq(plan.home[4], 5);
}

Test(steer_plan, workers_on_cpus_without_a_queue)
{
	machine(16, 4, 8);
	slots_from(8, 4);
	watch_from(0, 4);
	arrive_at(0, 4);
	make_and_check();
	cr_assert_eq(plan.cpu_count, 4);
	for (unsigned slot = 0; slot < 4; slot++)
		cr_expect_eq(named_by(slot), 1, "a guest each, none starves");
	for (int cpu = 0; cpu < 4; cpu++)
		cr_expect_eq(entry_of(cpu)->count, 1);
}

/* A queue nobody is home to takes the guest, not one that is served already. */
Test(steer_plan, guests_go_where_nobody_is)
{
	slots_from(0, 4);
	watch_from(0, 2);
	arrive_at(1, 3);
	steer_plan_make(&plan, &input);
	const struct steer_entry *home = entry_of(1);
	cr_assert(home);
	cr_expect_eq(home->count, 1, "%u workers share CPU 1", home->count);
	cr_expect_eq(plan.target[home->first], 1);
	cr_expect(plan.home[0] == 2 || plan.home[0] == 3);
}

Test(steer_plan, the_same_input_gives_the_same_plan)
{
	struct steer_plan other;

	machine(64, 8, 32);
	slots_from(0, 64);
	arrive_at(0, 64);
	watch_from(3, 29);
	make_and_check();
	memset(&other, 0x11, sizeof(other));
	steer_plan_make(&other, &input);
	cr_assert_eq(other.cpu_count, plan.cpu_count);
	cr_expect_arr_eq(other.entry, plan.entry, plan.cpu_count * sizeof(plan.entry[0]));
	cr_expect_arr_eq(other.target, plan.target, plan.target_count * sizeof(plan.target[0]));
	cr_expect_arr_eq(other.home, plan.home, 64 * sizeof(plan.home[0]));
}

/* 64 queues, 32 workers, one cache: naming all for each would not fit, and whoever is home must not
 * lose its place to those who are not. */
Test(steer_plan, homes_come_before_the_nearest)
{
	unsigned low = ~0u, high = 0;

	machine(64, 64, 64);
	slots_from(0, 64);
	arrive_at(0, 64);
	for (unsigned slot = 0; slot < 64; slot += 2) {
		topology.core[slot] = topology.core[slot + 1] = -1;
		slot_add(&input.watched, slot);
	}
	make_and_check();
	cr_assert_eq(plan.cpu_count, 64, "no CPU is left to the common queue");
	for (unsigned slot = 0; slot < 64; slot += 2) {
		unsigned count = named_by(slot);
		cr_expect(names(entry_of((int)slot), slot));
		cr_expect_eq(entry_of((int)slot)->count, 1, "a CPU with a worker is its alone");
		low = count < low ? count : low;
		high = count > high ? count : high;
	}
	cr_expect_leq(high - low, 1, "as much to do for each: %u to %u", low, high);
}

/* Two nodes whose CPUs take turns, as some firmware numbers them. */
Test(steer_plan, parts_of_two_sets_are_even)
{
	unsigned low = ~0u, high = 0;

	for (int cpu = 0; cpu < 256; cpu++) {
		topology.core[cpu] = topology.cache[cpu] = -1;
		topology.node[cpu] = (int16_t)(cpu % 2);
	}
	input.distance = by_topology;
	input.distance_context = &topology;
	slots_from(0, 256);
	arrive_at(0, 256);
	watch_from(64, 128);
	make_and_check();
	cr_assert_eq(plan.cpu_count, 256);
	for (unsigned slot = 64; slot < 192; slot++) {
		unsigned count = named_by(slot);
		low = count < low ? count : low;
		high = count > high ? count : high;
	}
	cr_expect_leq(high - low, 1, "as much to do for each: %u to %u", low, high);
	for (unsigned e = 0; e < plan.cpu_count; e++)
		for (unsigned i = 0; i < plan.entry[e].count; i++)
			cr_expect_eq(plan.target[plan.entry[e].first + i] % 2,
				     plan.entry[e].cpu % 2);
}

Test(steer_plan, limits)
{
	slots_from(0, 256);
	arrive_at(0, 256);
	watch_from(0, 256);
	make_and_check();
	cr_expect_eq(plan.cpu_count, 256);
	cr_expect_eq(plan.target_count, 256);

	/* One worker for 255 more queues; all workers on one queue; more CPUs than entries. */
	clear();
	slots_from(0, 256);
	arrive_at(0, 256);
	watch_from(7, 1);
	make_and_check();
	cr_expect_eq(plan.cpu_count, 256);
	cr_expect_eq(named_by(7), 256);

	clear();
	slots_from(256, 256);
	watch_from(0, 256);
	arrive_at(1023, 1);
	make_and_check();
	cr_expect_eq(plan.cpu_count, 1);
	cr_expect_eq(entry_of(1023)->count, 256);

	clear();
	slots_from(0, 256);
	watch_from(0, 256);
	arrive_at(0, 1024);
	make_and_check();
	cr_expect_eq(plan.cpu_count, 256);
	cr_expect_eq(named_by(255), 1);
}

/* Any distances, any sets. */
static int at_random(const void *context, int cpu, int other)
{
	return (int)((cpu * 31 + other * 17 + *(const int *)context) % 5);
}

Test(steer_plan, whatever_comes)
{
	int salt;

	srand(1);
	input.distance = at_random;
	input.distance_context = &salt;
	for (int round = 0; round < 300; round++) {
		salt = rand();
		salt &= 0xffff;
		input.slot_count = (unsigned)rand() % (SLOTS_MAX + 1);
		CPU_ZERO(&input.arrivals);
		int few = rand() % 40 + 1;
		for (unsigned s = 0; s < SLOTS_MAX; s++) {
			input.slot_cpu[s] = (uint16_t)(rand() % CPU_SETSIZE); /* even twice */
			slot_remove(&input.watched, s);
			if (rand() % few == 0)
				slot_add(&input.watched, s);
		}
		for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
			if (rand() % few == 0)
				CPU_SET(cpu, &input.arrivals);
		make_and_check();
		for (unsigned s = 0; s < input.slot_count; s++) {
			bool has = slot_in(&input.watched, s) && CPU_COUNT(&input.arrivals);
			cr_assert_eq(plan.home[s] >= 0, has);
			if (has && CPU_COUNT(&input.arrivals) <= STEER_CPUS_MAX)
				cr_assert_geq(named_by(s), 1, "slot %u starves", s);
		}
	}
}
