/* Which part of a slot's connections is steered elsewhere, window by window: of a model of queues
 * whose workers even out a part of what is uneven. */
#include "shim/decide/shift.h"
#include <criterion/criterion.h>
#include <stdlib.h>

#define ROOM 100 /* that a worker serves in a window */

static struct shift shift;
static struct shift_input input;

static void start(void)
{
	memset(&shift, 0, sizeof(shift));
	memset(&input, 0, sizeof(input));
	input.slot_count = 4;
	input.passed_ms = SHIFT_WINDOW_MS;
	for (unsigned s = 0; s < input.slot_count; s++)
		slot_add(&input.watched, s);
}

TestSuite(shift, .init = start);

static unsigned away(unsigned slot)
{
	unsigned count = 0;

	for (unsigned p = 0; p < SHIFT_PARTS; p++)
		count += shift_target(shift.slot[slot].parts, slot, p) != slot;
	return count;
}

/* Of what is steered elsewhere from a slot, so many eighths to that one. */
static unsigned steered(unsigned slot, unsigned to)
{
	unsigned count = 0;

	for (unsigned p = 0; p < SHIFT_PARTS; p++)
		count += shift_target(shift.slot[slot].parts, slot, p) == to;
	return count;
}

/* One window. arrives: on each slot's CPU. What a worker has no room for is taken by others who
 * have. Returns what shift_follow() does. */
static bool window(const uint32_t *arrives)
{
	uint32_t came[SLOTS_MAX] = {0}, room = 0;

	for (unsigned s = 0; s < input.slot_count; s++)
		for (unsigned p = 0; p < SHIFT_PARTS; p++)
			came[shift_target(shift.slot[s].parts, s, p)] += arrives[s] / SHIFT_PARTS;
	for (unsigned s = 0; s < input.slot_count; s++)
		room += came[s] < ROOM ? ROOM - came[s] : 0;
	for (unsigned s = 0; s < input.slot_count; s++) {
		uint32_t lost = came[s] > ROOM ? came[s] - ROOM : 0;
		lost = lost < room ? lost : room;
		room -= lost;
		input.lost[s] += lost;
		input.local[s] += came[s] - lost;
	}
	return shift_follow(&shift, &input);
}

static unsigned windows(unsigned count, const uint32_t *arrives)
{
	unsigned steps = 0;

	while (count--)
		steps += window(arrives);
	return steps;
}

static const uint32_t hot[4] = {320}, even[4] = {80, 80, 80, 80}, few[4] = {16},
		      skewed[4] = {160, 80};

Test(shift, nothing_where_the_load_is_even)
{
	cr_assert_eq(windows(100, even), 0);
	cr_assert_eq(shift.away, 0);
}

Test(shift, nothing_where_nobody_has_to_steal)
{
	static const uint32_t uneven[4] = {96, 8};

	cr_assert_eq(windows(100, uneven), 0);
}

Test(shift, nothing_where_few_come)
{
	for (int i = 0; i < 100; i++) {
		input.local[0] += 1;
		input.lost[0] += 15;
		cr_assert_not(shift_follow(&shift, &input));
	}
}

Test(shift, what_does_not_last_steers_nothing)
{
	for (int i = 0; i < 30; i++) {
		cr_assert_eq(windows(2, hot), 0);
		windows(2, even);
	}
	cr_assert_eq(shift.away, 0);
}

Test(shift, the_hot_one_is_spread_a_step_at_a_time)
{
	unsigned before = 0;

	for (int i = 0; i < 60; i++) {
		window(hot);
		cr_assert_leq(away(0), before + 1);
		cr_assert_leq(away(0) * 3, (unsigned)i + 1, "not before the third window");
		before = away(0);
	}
	cr_assert_eq(away(0), 6);
	for (unsigned s = 1; s < 4; s++)
		cr_expect_eq(steered(0, s), 2);
	cr_assert_eq(shift.away, 6);
	for (int i = 0; i < 100; i++) {
		window(hot);
		cr_assert_geq(away(0), 5, "as long as it lasts, but for a try");
	}
}

/* As many as make both even, and no more. */
Test(shift, half_of_a_difference)
{
	windows(10, skewed);
	cr_assert_geq(away(0), 3);
	for (unsigned s = 2; s < 4; s++)
		cr_expect_geq(steered(0, s), 1, "to who has nothing");
	cr_assert_eq(steered(0, 1), 0);
}

Test(shift, back_once_the_others_have_more)
{
	static const uint32_t now_there[4] = {80, 240};

	windows(60, hot);
	cr_assert_eq(away(0), 6);
	windows(60, now_there);
	cr_assert_eq(steered(0, 1), 0);
}

Test(shift, back_where_few_come)
{
	windows(60, hot);
	cr_assert_eq(windows(18, few), 6);
	cr_assert_eq(shift.away, 0);
}

Test(shift, back_where_nobody_steals)
{
	static const uint32_t half[4] = {80, 80};

	windows(60, hot);
	windows(200, half);
	cr_assert_eq(shift.away, 0);
}

Test(shift, not_to_and_fro)
{
	windows(60, hot);
	cr_assert_leq(windows(400, hot), 50, "a try every two seconds, and back");
}

Test(shift, who_is_gone_gets_nothing)
{
	slot_remove(&input.watched, 1);
	windows(60, hot);
	cr_assert_eq(steered(0, 1), 0);
	cr_assert_geq(away(0), 4);
	slot_remove(&input.watched, 2);
	windows(10, hot);
	cr_assert_eq(steered(0, 2), 0, "nor keeps it");
	slot_remove(&input.watched, 0);
	windows(60, hot);
	cr_assert_eq(shift.away, 0, "nothing of his own that was");
}

/* Of two that have too many none sends the other's away again. */
Test(shift, no_chains)
{
	static const uint32_t two[4] = {200, 160};

	windows(100, two);
	cr_assert_eq(steered(0, 1), 0);
	cr_assert_eq(steered(1, 0), 0);
	cr_assert_geq(away(0), 1);
	cr_assert_geq(away(1), 1);
}

Test(shift, counts_go_around)
{
	for (unsigned s = 0; s < 4; s++)
		shift.slot[s].local = input.local[s] = shift.slot[s].lost = input.lost[s] =
			UINT32_MAX - 50;
	windows(60, hot);
	cr_assert_eq(away(0), 6);
}

Test(shift, a_long_window_is_not_a_busy_one)
{
	input.passed_ms = 100 * SHIFT_WINDOW_MS;
	cr_assert_eq(windows(60, hot), 0);
}

/* It is in memory that others write. */
Test(shift, any_memory)
{
	for (int i = 0; i < 2000; i++) {
		for (unsigned w = 0; w < 64; w++)
			((unsigned char *)&shift)[(unsigned)rand() % sizeof(shift)] =
				(unsigned char)rand();
		for (unsigned s = 0; s < SLOTS_MAX; s++)
			if (rand() % 2)
				shift.slot[s].parts = (uint64_t)rand() << 33 | (uint64_t)rand();
		for (unsigned s = 0; s < 4; s++)
			input.lost[s] += (uint32_t)rand() % 1000, input.local[s] += 500;
		shift_follow(&shift, &input);
	}
}
