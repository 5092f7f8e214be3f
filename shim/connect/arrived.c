#include "shim/connect/arrived.h"
#include "shim/connect/established.h"
#include "shim/connect/outgoing.h"
#include "shim/kernel/clock.h"
#include "shim/kernel/socket.h"
#include "shim/learn/teach.h"
#include <errno.h>
#include <stddef.h>

#define INTERVAL 32
/* Where nothing learns. */
#define INTERVAL_LONG 256

/* Which interface a connection came by, and of which family it is, costs system calls to know. So a
 * thread looks at each only as long as a good part of them are ones that are wanted: a look at one
 * pays for so many at others, and it begins with as many. */
#define PAID    16
#define PAID_UP 32

__thread struct arrived_here arrived_here;

/* Whether the connection was one that is wanted. */
static bool look(struct uplinks *uplinks, int fd)
{
	struct flow flow;
	const struct uplink *uplink = uplink_find(uplinks, socket_interface(fd));
	if (!uplink || !uplink->learns || !established_flow(fd, &flow))
		return false;
	int cpu = socket_incoming_cpu(fd);
	if (cpu < 0)
		return false;
	teach(uplink->ifindex, uplink->name, &uplink->arrival.hash, &flow, cpu, -1);
	return teach_interval(uplink->ifindex, flow_family(&flow)) == 1;
}

void arrived_slowly(int fd)
{
	int before = errno;

	if (!teach_is_there())
		return;
	bool curious = arrived_here.spent < PAID_UP && teach_is_curious();
	arrived_here.curious = curious;
	if (arrived_here.until && --arrived_here.until && !curious)
		return;
	struct uplinks *uplinks = outgoing_watched(clock_ms());
	bool learns = uplinks && uplinks->learns;
	arrived_here.until = learns ? INTERVAL : INTERVAL_LONG;
	if (learns && look(uplinks, fd))
		arrived_here.spent -= arrived_here.spent < PAID ? arrived_here.spent : PAID;
	else if (curious)
		arrived_here.spent++;
	errno = before;
}
