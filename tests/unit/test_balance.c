#include "shim/decide/balance.h"
#include <criterion/criterion.h>

#define N 4

static struct balance b;
static uint64_t now;
static uint32_t came, local, stolen;

/* The next window: so many local ones came in the last, and were taken. */
static void window(uint32_t count)
{
	now += BALANCE_WINDOW_MS;
	came += count;
	local += count;
	balance_follow(&b, now, came, local, stolen);
}

static void start(void)
{
	now = 1000;
	balance_follow(&b, now, came, local, stolen);
}

TestSuite(balance, .init = start);

/* Takes what is allowed while so many local ones come. */
static uint32_t steal_during(uint32_t taken)
{
	uint32_t before = stolen;

	for (uint32_t i = 0; i < taken; i++) {
		local++;
		stolen += balance_allow(&b, N, false, local, stolen) > 0;
	}
	return stolen - before;
}

Test(balance, nothing_is_known_at_first)
{
	cr_assert_not(balance_is_busy(&b));
}

Test(balance, few_connections_are_not_looked_after)
{
	window(3);
	cr_assert_not(balance_is_busy(&b));
	window(1000);
	cr_assert(balance_is_busy(&b));
	window(3);
	cr_assert_not(balance_is_busy(&b));
}

Test(balance, who_was_not_taken_yet_came_too)
{
	now += BALANCE_WINDOW_MS;
	balance_follow(&b, now, came + 64, local, stolen);
	cr_assert(balance_is_busy(&b));
}

Test(balance, counts_of_two_moments_may_be_less_than_before)
{
	now += BALANCE_WINDOW_MS;
	balance_follow(&b, now, came - 2, local, stolen);
	cr_assert_not(balance_is_busy(&b));
}

Test(balance, a_long_pause_is_not_a_busy_window)
{
	now += 100 * BALANCE_WINDOW_MS;
	window(300);
	cr_assert_not(balance_is_busy(&b));
}

Test(balance, who_waits_in_a_long_queue_came_too)
{
	window(1000);
	balance_allow(&b, N, false, local, stolen);
	window(0);
	cr_assert(balance_is_busy(&b), "nobody takes them, and all others wait for that");
	window(0);
	cr_assert_not(balance_is_busy(&b), "until nobody waits");
	balance_allow(&b, N, false, local, stolen);
	window(0);
	cr_assert_not(balance_is_busy(&b), "few that wait do not make it busy");
	window(1000);
	for (int i = 0; i < 10; i++) {
		balance_allow(&b, N, true, local, stolen);
		window(0);
	}
	cr_assert(balance_is_busy(&b), "nor is there a bound to what waits for one that is stuck");
}

Test(balance, what_waits_for_one_that_is_stuck_is_taken_from_nobody)
{
	window(0);
	for (int i = 0; i < 10; i++, stolen += BALANCE_BATCH)
		cr_assert_eq(balance_allow(&b, N, true, local, stolen), BALANCE_BATCH);
}

Test(balance, what_counts_as_long)
{
	cr_assert_not(balance_is_long(0, 100, true));
	cr_assert_not(balance_is_long(2, 1, false), "its worker is about to wake up");
	cr_assert_not(balance_is_long(1, 100, false), "its worker moves, and will take it");
	cr_assert(balance_is_long(2, 10, false));
	cr_assert(balance_is_long(1, 10, true));
	cr_assert_not(balance_is_long(1, 1, true), "its worker slept, and is waking up");
	cr_assert(balance_is_long(100, 0, false));
}

Test(balance, who_waits_longest_comes_first)
{
	cr_assert_gt(balance_older_ms(0), 1, "a millisecond is not to be told");
	cr_assert_lt(balance_older_ms(0), 5);
	cr_assert_lt(balance_older_ms(32), 38);
	cr_assert_gt(balance_older_ms(1000), 1050, "of a long time more is chance");
}

Test(balance, one_for_n)
{
	window(0);
	cr_assert_eq(steal_during(100), 25);
	cr_assert_eq(balance_allow(&b, N, false, local, stolen), 0);
}

Test(balance, never_more_than_a_batch_at_once)
{
	window(0);
	local += 1000;
	cr_assert_eq(balance_allow(&b, N, false, local, stolen), BALANCE_BATCH);
}

Test(balance, what_was_not_stolen_in_one_window_is_no_credit_in_the_next)
{
	window(1000);
	cr_assert_eq(balance_allow(&b, N, false, local, stolen), 0);
}

Test(balance, what_lasts_spreads)
{
	window(0);
	cr_assert_eq(steal_during(100), 25);
	window(0);
	cr_assert_eq(steal_during(100), 50, "one for two");
	window(0);
	cr_assert_eq(steal_during(100), 100, "one for one");
	cr_assert_eq(balance_allow(&b, N, false, local, stolen), 0);
	window(0);
	cr_assert_eq(balance_allow(&b, N, false, local, stolen), BALANCE_BATCH, "no bound");
	window(0);
	cr_assert_eq(balance_allow(&b, N, false, local, stolen), BALANCE_BATCH,
		     "as long as queues are long");
}

Test(balance, and_back)
{
	window(0);
	steal_during(100);
	window(0);
	steal_during(100);
	cr_assert_eq(b.level, 1);
	window(0);
	cr_assert_eq(b.level, 2);
	window(100);
	cr_assert_eq(b.level, 1, "no queue was long");
	window(100);
	window(100);
	cr_assert_eq(b.level, 0);
}

Test(balance, others_that_steal_use_the_same_credit)
{
	window(0);
	local += 8;
	stolen += 2;
	cr_assert_eq(balance_allow(&b, N, false, local, stolen), 0);
}

Test(balance, counts_go_around)
{
	local = stolen = UINT32_MAX - 1;
	b = (struct balance){0};
	window(0);
	window(1000);
	cr_assert(balance_is_busy(&b));
	cr_assert_eq(steal_during(100), 25);
}
