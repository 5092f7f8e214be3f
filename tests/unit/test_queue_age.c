#include "shim/decide/queue_age.h"
#include <criterion/criterion.h>
#include <stdlib.h>

static struct queue_age queue;
static uint32_t now, came, taken;

static void start(void)
{
	now = 1000;
	came = taken = 0;
	queue_age_note(&queue, now, came);
}

TestSuite(queue_age, .init = start);

/* A millisecond in which so many come and go. */
static void pass(uint32_t in, uint32_t out)
{
	now++;
	came += in;
	taken += out;
	if (queue_age_is_due(&queue, now, taken))
		queue_age_note(&queue, now, came);
}
static void pass_many(unsigned times, uint32_t in, uint32_t out)
{
	while (times--)
		pass(in, out);
}

static uint32_t age(void)
{
	return queue_age_of(&queue, now, taken);
}

Test(queue_age, nobody_waits)
{
	cr_assert_eq(age(), 0);
	pass_many(100, 1, 1);
	cr_assert_eq(age(), 0);
	cr_assert_eq(queue_age_length(&queue, taken), 0);
}

Test(queue_age, of_new_memory)
{
	struct queue_age new = {0};

	cr_assert_eq(queue_age_of(&new, now, 0), 0);
	cr_assert(queue_age_is_due(&new, now, 0));
}

Test(queue_age, one_a_millisecond_is_enough)
{
	cr_assert_not(queue_age_is_due(&queue, now, taken));
	cr_assert(queue_age_is_due(&queue, now + 1, taken));
}

Test(queue_age, one_that_stays)
{
	pass(1, 0);
	pass_many(9, 0, 0);
	cr_assert_eq(age(), 9);
	cr_assert_eq(queue_age_length(&queue, taken), 1);
	pass(0, 1);
	cr_assert_eq(age(), 0);
}

/* Two come and two go in each millisecond, behind twenty: each waits for ten. */
Test(queue_age, of_the_one_at_the_head)
{
	pass(20, 0);
	pass_many(9, 2, 2);
	cr_assert_eq(age(), 9, "two of the twenty");
	pass_many(100, 2, 2);
	cr_assert(age() >= 9 && age() <= 10, "%u", age());
}

/* It may be counted as young, never as old. */
Test(queue_age, is_never_more_than_it_was)
{
	uint32_t at[200 * 3] = {0}, last = 0;

	srand(1);
	for (unsigned i = 0; i < 200; i++) {
		uint32_t in = (uint32_t)rand() % 4, out = (uint32_t)rand() % 3;
		for (uint32_t c = 0; c < in; c++)
			at[came + c] = now + 1;
		if (out > came + in - taken)
			out = came + in - taken;
		pass(in, out);
		if (came == taken)
			continue;
		uint32_t real = now - at[taken];
		cr_assert_leq(age(), real);
		last = real;
		cr_assert_leq(real - age(), 1 + real / 8, "%u is %u", age(), real);
	}
	cr_assert_gt(last, 10, "the queue was never long");
}

Test(queue_age, a_second_of_it_fits)
{
	pass(1, 0);
	pass_many(1000, 1, 0);
	cr_assert_geq(age(), 900);
}

Test(queue_age, how_many_are_older)
{
	pass(5, 0);
	pass_many(4, 3, 0);
	cr_assert_eq(queue_age_older(&queue, now, taken, 4), 5);
	cr_assert_eq(queue_age_older(&queue, now, taken, 3), 8);
	cr_assert_eq(queue_age_older(&queue, now, taken, 0), 17);
	cr_assert_eq(queue_age_older(&queue, now, taken, 5), 0);
	cr_assert_eq(queue_age_older(&queue, now, taken + 6, 4), 0, "those were taken");
	cr_assert_eq(queue_age_older(&queue, now, taken + 6, 3), 2);
}

Test(queue_age, everything_goes_around)
{
	now = UINT32_MAX - 5;
	came = taken = UINT32_MAX - 3;
	queue_age_note(&queue, now, came);
	pass(1, 0);
	pass_many(20, 1, 1);
	pass(10, 0);
	pass_many(9, 0, 0);
	cr_assert_eq(age(), 10);
	cr_assert_eq(queue_age_length(&queue, taken), 11);
}

/* A queue nobody looked at for months. */
Test(queue_age, a_note_that_seems_to_be_of_later)
{
	now += UINT32_MAX / 2 + 10;
	cr_assert(queue_age_is_due(&queue, now, taken));
	pass(1, 0);
	pass(0, 0);
	cr_assert_eq(age(), 1);
}

/* It is in memory that others write. */
Test(queue_age, any_memory)
{
	for (int i = 0; i < 2000; i++) {
		for (unsigned w = 0; w < 64; w++)
			((unsigned char *)&queue)[(unsigned)rand() % sizeof(queue)] =
				(unsigned char)rand();
		queue_age_of(&queue, now, taken);
		queue_age_older(&queue, now, taken, (uint32_t)rand());
		if (queue_age_is_due(&queue, now, taken))
			queue_age_note(&queue, now, came);
		pass(1, 1);
	}
}
