#include "shim/decide/placement.h"
#include <criterion/criterion.h>

static cpu_set_t set(uint64_t bits)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	for (int cpu = 0; cpu < 64; cpu++)
		if (bits >> cpu & 1)
			CPU_SET(cpu, &cpus);
	return cpus;
}

static void put(struct placement_worker *worker, uint64_t affinity, uint64_t arrivals,
		uint32_t held)
{
	cpu_set_t a = set(affinity), b = set(arrivals);

	placement_set_home(worker, &a, &b);
	worker->held = held;
}

Test(placement, a_part_of_what_receives_is_home)
{
	struct placement_worker worker = {0};

	put(&worker, 0x3, 0xe, 0);
	cr_assert(placement_takes_part(&worker));
	cr_assert(placement_is_home(&worker, 1));
	cr_assert_not(placement_is_home(&worker, 0), "it receives nothing");
	cr_assert_not(placement_is_home(&worker, 2));
}

Test(placement, who_may_run_anywhere_is_home_nowhere)
{
	struct placement_worker worker = {0};

	put(&worker, 0x1, 0x3, 0);
	put(&worker, 0xf, 0x3, 0);
	cr_assert_not(placement_takes_part(&worker));
	put(&worker, 0x4, 0x3, 0);
	cr_assert_not(placement_takes_part(&worker), "pinned to where nothing arrives");
	put(&worker, 0x1, 0x1, 0);
	cr_assert_not(placement_takes_part(&worker), "all arrives there: nothing to choose");
}

Test(placement, leaves)
{
	struct placement_worker worker = {0};

	put(&worker, 0x1, 0x3, 0);
	placement_leave(&worker);
	cr_assert_not(placement_takes_part(&worker));
	cr_assert_not(placement_is_home(&worker, 0));
}

Test(placement, no_cpu_is_nobodys)
{
	struct placement_worker worker = {0};

	put(&worker, 0x1, 0x3, 0);
	cr_assert_not(placement_is_home(&worker, -1));
	cr_assert_not(placement_is_home(&worker, CPU_SETSIZE));
	cr_assert_eq(placement_choose(&worker, 1, -1), -1);
	cr_assert_eq(placement_choose(&worker, 1, 1), -1);
}

Test(placement, the_one_with_the_fewest_gets_it)
{
	struct placement_worker workers[4] = {0};

	put(&workers[0], 0x1, 0xf, 0);
	put(&workers[1], 0x2, 0xf, 7);
	put(&workers[2], 0x6, 0xf, 5);
	put(&workers[3], 0x4, 0xf, 6);
	cr_assert_eq(placement_choose(workers, 4, 0), 0);
	cr_assert_eq(placement_choose(workers, 4, 1), 2);
	workers[2].held = 8;
	cr_assert_eq(placement_choose(workers, 4, 1), 1);
	cr_assert_eq(placement_choose(workers, 4, 2), 3);
	cr_assert_eq(placement_choose(workers, 4, 3), -1);
}

Test(placement, a_new_connection_moves_at_once_an_old_one_when_seen_twice)
{
	uint16_t seen = 0;

	cr_assert(placement_is_lasting(&seen, 1, false));
	seen = 0;
	cr_assert_not(placement_is_lasting(&seen, 0, true));
	cr_assert_not(placement_is_lasting(&seen, 1, false), "it may have strayed");
	cr_assert(placement_is_lasting(&seen, 1, false));
}

Test(placement, packets_that_come_from_everywhere_move_nothing)
{
	uint16_t seen = 0;

	placement_is_lasting(&seen, 0, true);
	for (int i = 0; i < 100; i++)
		cr_assert_not(placement_is_lasting(&seen, 1 + i % 3, false));
	placement_is_lasting(&seen, 5, false);
	placement_is_lasting(&seen, 0, true);
	cr_assert_not(placement_is_lasting(&seen, 5, false), "at home in between");
}

Test(placement, an_unknown_cpu_says_nothing)
{
	uint16_t seen = 0;

	cr_assert_not(placement_is_lasting(&seen, -1, false));
	cr_assert_eq(seen, 0);
	cr_assert(placement_is_lasting(&seen, 0, false), "still new");
}

Test(placement, what_was_seen)
{
	uint16_t seen = 0;

	cr_assert_eq(placement_seen(seen), -1);
	placement_is_lasting(&seen, 5, false);
	cr_assert_eq(placement_seen(seen), 5);
	placement_is_lasting(&seen, 0, true);
	cr_assert_eq(placement_seen(seen), -1);
}
