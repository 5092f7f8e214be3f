#include "shim/decide/balance.h"
#include <criterion/criterion.h>

#define N 4

static struct balance b;
static uint64_t now;
static uint32_t local, stolen;

/* The next window: so many local ones came in the last. */
static void window(uint32_t taken)
{
	now += BALANCE_WINDOW_MS;
	local += taken;
	balance_follow(&b, now, local, stolen);
}

static void start(void)
{
	now = 1000;
	balance_follow(&b, now, local, stolen);
}

TestSuite(balance, .init = start);

/* Takes what is allowed while so many local ones come. */
static uint32_t steal_during(uint32_t taken)
{
	uint32_t before = stolen;

	for (uint32_t i = 0; i < taken; i++) {
		local++;
		stolen += balance_allow(&b, N, local, stolen) > 0;
	}
	return stolen - before;
}

Test(balance, nothing_is_known_at_first)
{
	cr_assert_not(balance_is_busy(&b));
}

Test(balance, few_connections_are_not_looked_after)
{
	window(7);
	cr_assert_not(balance_is_busy(&b));
	window(1000);
	cr_assert(balance_is_busy(&b));
	window(7);
	cr_assert_not(balance_is_busy(&b));
}

Test(balance, a_long_pause_is_not_a_busy_window)
{
	now += 100 * BALANCE_WINDOW_MS;
	window(500);
	cr_assert_not(balance_is_busy(&b));
}

Test(balance, who_waits_in_a_long_queue_came_too)
{
	window(1000);
	balance_allow(&b, N, local, stolen);
	window(0);
	cr_assert(balance_is_busy(&b), "nobody takes them, and all others wait for that");
	window(0);
	cr_assert_not(balance_is_busy(&b), "until nobody waits");
	balance_allow(&b, N, local, stolen);
	window(0);
	cr_assert_not(balance_is_busy(&b), "few that wait do not make it busy");
}

Test(balance, what_counts_as_long)
{
	cr_assert_not(balance_is_long(0, true, true));
	cr_assert_not(balance_is_long(2, false, false), "its worker is about to wake up");
	cr_assert_not(balance_is_long(1, true, false), "it may be another each time");
	cr_assert(balance_is_long(2, true, false));
	cr_assert(balance_is_long(1, true, true));
	cr_assert(balance_is_long(100, false, false));
}

static unsigned older(uint32_t own, uint32_t own_rate, uint32_t other, uint32_t other_rate)
{
	return balance_older((struct balance_queue){own, own_rate},
			     (struct balance_queue){other, other_rate});
}

Test(balance, who_waits_longest_comes_first)
{
	cr_assert_eq(older(20, 100, 20, 100), 0);
	cr_assert_eq(older(20, 100, 24, 100), 0, "a quarter more is chance");
	cr_assert_eq(older(2, 100, 5, 100), 0, "and so are a few");
	cr_assert_eq(older(20, 100, 40, 100), 10, "both have as many then");
	cr_assert_eq(older(40, 100, 20, 100), 0);
	cr_assert_gt(older(0, 0, 10, 100), 0);
}

Test(balance, a_queue_that_is_emptied_faster_may_be_longer)
{
	cr_assert_eq(older(8, 20, 56, 140), 0);
	cr_assert_gt(older(4, 20, 60, 140), 0);
	cr_assert_gt(older(32, 140, 32, 20), 0);
}

Test(balance, lengths_and_rates_of_any_size)
{
	cr_assert_eq(older(UINT32_MAX, 0, UINT32_MAX, 0), 0);
	cr_assert_eq(older(UINT32_MAX, 1, UINT32_MAX, UINT32_MAX), 0);
	cr_assert_gt(older(0, UINT32_MAX, UINT32_MAX, UINT32_MAX), 0);
}

Test(balance, one_for_n)
{
	window(0);
	cr_assert_eq(steal_during(100), 25);
	cr_assert_eq(balance_allow(&b, N, local, stolen), 0);
}

Test(balance, never_more_than_a_batch_at_once)
{
	window(0);
	local += 1000;
	cr_assert_eq(balance_allow(&b, N, local, stolen), BALANCE_BATCH);
}

Test(balance, what_was_not_stolen_in_one_window_is_no_credit_in_the_next)
{
	window(1000);
	cr_assert_eq(balance_allow(&b, N, local, stolen), 0);
}

Test(balance, what_lasts_spreads)
{
	window(0);
	cr_assert_eq(steal_during(100), 25);
	window(0);
	cr_assert_eq(steal_during(100), 50, "one for two");
	window(0);
	cr_assert_eq(steal_during(100), 100, "one for one");
	cr_assert_eq(balance_allow(&b, N, local, stolen), 0);
	window(0);
	cr_assert_eq(balance_allow(&b, N, local, stolen), BALANCE_BATCH, "no bound");
	window(0);
	cr_assert_eq(balance_allow(&b, N, local, stolen), BALANCE_BATCH,
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
	cr_assert_eq(balance_allow(&b, N, local, stolen), 0);
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
