/* Which interfaces find room among those whose source ports are chosen. */
#include "shim/connect/uplink.h"
#include <criterion/criterion.h>
#include <string.h>

static struct nic_set nics;
static struct uplinks uplinks;
static struct local_ports local = {.lo = 1024, .hi = 65535};

static void add(bool predictable)
{
	struct nic_view *view = &nics.view[nics.count++];

	memset(view, 0, sizeof(*view));
	view->ifindex = nics.count;
	view->predictable[FLOW_IPV4] = predictable;
	view->learnable = !predictable;
}

Test(uplink, those_that_can_be_predicted_come_first)
{
	for (int i = 0; i < UPLINKS_MAX + 3; i++)
		add(false);
	add(true);
	add(true);
	uplinks_fill(&uplinks, &nics, &local, 1024, 65535, NULL);
	cr_expect_eq(uplinks.count, UPLINKS_MAX);
	cr_expect_eq(uplinks.missed, 5);
	cr_expect(uplinks.learns);
	cr_expect_not_null(uplink_find(&uplinks, UPLINKS_MAX + 4));
	cr_expect_not_null(uplink_find(&uplinks, UPLINKS_MAX + 5));
	cr_expect_not_null(uplink_find(&uplinks, 1));
	cr_expect_null(uplink_find(&uplinks, UPLINKS_MAX));
}

Test(uplink, what_nothing_can_be_said_of_takes_no_room)
{
	add(true);
	nics.view[0].predictable[FLOW_IPV4] = false;
	uplinks_fill(&uplinks, &nics, &local, 1024, 65535, NULL);
	cr_expect_eq(uplinks.count + uplinks.missed, 0);
}
