/* The list of members that were reported stays in its bounds, whoever takes from it. */
#include "shim/group/ready.h"
#include <criterion/criterion.h>

static struct ready_member member(uint16_t slot, bool edge)
{
	return (struct ready_member){.group = 1, .slot = slot, .edge = edge};
}

Test(ready, each_once)
{
	cr_assert(ready_add(member(3, false)));
	cr_assert(ready_add(member(3, false)));
	cr_assert_eq(ready.count, 1);
}

Test(ready, no_more_than_its_room)
{
	for (uint16_t slot = 0; slot < READY_MAX; slot++)
		cr_assert(ready_add(member(slot, false)));
	cr_assert(!ready_add(member(READY_MAX, false)));
	cr_assert_eq(ready.count, READY_MAX);
}

/* A handler that accepts takes what the interrupted accept() is about to take. */
Test(ready, taken_twice)
{
	ready_add(member(0, true));
	ready_add(member(1, true));
	ready_remove(member(0, true));
	ready_remove(member(0, true));
	cr_assert_eq(ready.count, 1);
	cr_assert_eq(ready.member[0].slot, 1);
	ready_remove(member(1, true));
	ready_remove(member(1, true));
	cr_assert_eq(ready.count, 0);
}

Test(ready, levels_are_reported_again)
{
	ready_add(member(0, false));
	ready_add(member(1, true));
	ready_forget_levels();
	cr_assert_eq(ready.count, 1);
	cr_assert_eq(ready.member[0].slot, 1);
}
