/* Learning the order in which one thread deals connections out. */
#include "shim/decide/turns.h"
#include <criterion/criterion.h>
#include <stdlib.h>

static struct turns turns;

static void start(void)
{
	turns = (struct turns){0};
}

TestSuite(turns, .init = start);

/* Deals count of them to takers in turn, each seen at once. first: whose turn it is. */
static void deal_round(const int *taker, unsigned takers, unsigned first, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		turns_take(&turns, turns_deal(&turns), taker[(first + i) % takers]);
}

Test(turns, nothing_seen_is_nothing_known)
{
	cr_assert_eq(turns_next(&turns), 0);
	turns_deal(&turns);
	cr_assert_eq(turns_next(&turns), 0);
}

Test(turns, a_round_of_any_length_is_learned_and_foretold)
{
	for (int takers = 1; takers <= TURNS_PERIOD_MAX; takers++) {
		int taker[TURNS_PERIOD_MAX];
		start();
		for (int i = 0; i < takers; i++)
			taker[i] = 1000 + i;
		deal_round(taker, (unsigned)takers, 0, 8 + 3 * (unsigned)takers);
		for (unsigned i = 8 + 3 * (unsigned)takers; i < 1000; i++) {
			cr_assert_eq(turns_next(&turns), taker[i % (unsigned)takers],
				     "%d takers, number %u", takers, i);
			deal_round(taker, (unsigned)takers, i, 1);
		}
	}
}

Test(turns, unequal_shares_are_an_order_too)
{
	const int taker[] = {7, 7, 8};

	deal_round(taker, 3, 0, 12);
	for (unsigned i = 0; i < 30; i++) {
		cr_assert_eq(turns_next(&turns), taker[i % 3]);
		deal_round(taker, 3, i, 1);
	}
}

/* A burst is dealt out before anybody takes a thing. */
Test(turns, what_is_on_its_way_keeps_the_order)
{
	const int taker[] = {5, 6};

	deal_round(taker, 2, 0, 10);
	cr_assert_eq(turns_next(&turns), 5);
	for (unsigned i = 0; i < 64; i++) {
		cr_assert_eq(turns_next(&turns), taker[i % 2]);
		turns_deal(&turns);
	}
	/* Then one worker takes all its own before the other begins. */
	for (uint32_t number = 10; number < 74; number += 2) {
		turns_take(&turns, number, 5);
		cr_assert_eq(turns_next(&turns), 5);
	}
	for (uint32_t number = 11; number < 74; number += 2)
		turns_take(&turns, number, 6);
	cr_assert_eq(turns_next(&turns), 5);
}

/* The half of a burst that was taken first must not look like a dealer with one worker. */
Test(turns, half_of_a_burst_is_no_order)
{
	for (unsigned i = 0; i < 64; i++)
		turns_deal(&turns);
	for (uint32_t number = 0; number < 64; number += 2) {
		turns_take(&turns, number, 5);
		cr_assert_eq(turns_next(&turns), 0, "after number %u", number);
	}
	for (uint32_t number = 1; number < 64; number += 2)
		turns_take(&turns, number, 6);
	cr_assert_eq(turns_next(&turns), 5);
}

/* A connection that its client closed at once is never added anywhere. */
Test(turns, one_that_nobody_took_is_no_break)
{
	const int taker[] = {5, 6, 7};

	deal_round(taker, 3, 0, 15);
	cr_assert_eq(turns_next(&turns), 5);
	turns_deal(&turns);
	deal_round(taker, 3, 1, 2);
	cr_assert_eq(turns_next(&turns), 5);
	deal_round(taker, 3, 0, 1);
	cr_assert_eq(turns_next(&turns), 6);
}

Test(turns, one_out_of_turn_ends_it_at_once_and_the_new_order_is_learned)
{
	const int taker[] = {5, 6, 7};

	deal_round(taker, 3, 0, 15);
	cr_assert_eq(turns_next(&turns), 5);
	deal_round(taker, 3, 1, 1); /* 6 got what was to be 5's */
	cr_assert_eq(turns_next(&turns), 0);
	deal_round(taker, 3, 2, 12);
	cr_assert_eq(turns_next(&turns), 7);
}

Test(turns, another_worker_is_learned)
{
	const int two[] = {5, 6}, three[] = {5, 6, 9};

	deal_round(two, 2, 0, 20);
	cr_assert_eq(turns_next(&turns), 5);
	deal_round(three, 3, 0, 3);
	cr_assert_eq(turns_next(&turns), 0);
	deal_round(three, 3, 0, 12);
	cr_assert_eq(turns_next(&turns), 5);
}

/* Chance has its regular moments; what counts is that it is not believed for long. */
Test(turns, random_takers_are_hardly_ever_foretold)
{
	unsigned foretold = 0, total = 20000;

	srandom(1);
	for (unsigned i = 0; i < total; i++) {
		foretold += !!turns_next(&turns);
		turns_take(&turns, turns_deal(&turns), 10 + (int)(random() % 4));
	}
	cr_assert_lt(foretold, total / 50, "%u of %u", foretold, total);
}

Test(turns, numbers_come_around)
{
	const int taker[] = {5, 6};

	turns.dealt = (uint32_t)-9;
	deal_round(taker, 2, 1, 30);
	cr_assert_eq(turns_next(&turns), 6);
}
