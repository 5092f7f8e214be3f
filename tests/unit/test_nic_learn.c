#include "shim/learn/nic_learn.h"
#include "shim/learn/teach.h"
#include <criterion/criterion.h>

static struct learned room;

static bool is_disproved(struct nic_view view)
{
	cr_assert(nic_learn(&view, &room));
	return view.disproved;
}

Test(nic_learn, what_was_disproved_is_believed_once_it_changed)
{
	struct nic_view here = {.ifindex = 3, .may_learn = true, .arrival.table.size = 2}, other;

	here.arrival.hash.function = HASH_TOEPLITZ;
	here.arrival.hash.key_len = 40;
	other = here;
	other.arrival.hash.key[0] = 1;
	teach_start();
	cr_assert_not(is_disproved(here));
	teach_disprove(here.ifindex, "eth0", &here.arrival);
	cr_assert(is_disproved(here));
	cr_assert(is_disproved(here), "as long as it is reported");
	cr_assert_not(is_disproved(other));
	cr_assert_not(is_disproved(here), "it comes back");
	teach_disprove(here.ifindex, "eth0", &here.arrival);
	cr_assert(is_disproved(here), "and can be disproved again");
}
