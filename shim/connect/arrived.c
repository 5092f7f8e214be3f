#include "shim/connect/arrived.h"
#include "shim/connect/established.h"
#include "shim/connect/outgoing.h"
#include "shim/kernel/clock.h"
#include "shim/kernel/socket.h"
#include "shim/learn/teach.h"
#include <errno.h>
#include <stddef.h>

#define INTERVAL 32

/* Which interface a connection came by, and of which family it is, costs system calls to know. So a
 * thread looks at each only as long as a good part of them are ones that are wanted: a look at one
 * pays for so many at others, and it begins with as many. */
#define PAID    16
#define PAID_UP 32

static __thread struct {
	unsigned until; /* connections that go by before the next one that is looked at */
	unsigned spent; /* of what is paid for */
} mine;

/* Whether the connection was one that is wanted. */
static bool look(int fd)
{
	struct uplinks *uplinks = outgoing_watched(clock_ms());
	struct flow flow;

	if (!uplinks || !uplinks->learns)
		return false;
	const struct uplink *uplink = uplink_find(uplinks, socket_interface(fd));
	if (!uplink || !uplink->learns || !established_flow(fd, &flow))
		return false;
	int cpu = socket_incoming_cpu(fd);
	if (cpu < 0)
		return false;
	teach(uplink->ifindex, uplink->name, &uplink->arrival.hash, &flow, cpu, -1);
	return teach_interval(uplink->ifindex, flow_family(&flow)) == 1;
}

void arrived(int fd)
{
	int before = errno;

	if (!teach_is_there())
		return;
	bool curious = mine.spent < PAID_UP && teach_is_curious();
	if (mine.until && --mine.until && !curious)
		return;
	mine.until = INTERVAL;
	if (look(fd))
		mine.spent -= mine.spent < PAID ? mine.spent : PAID;
	else if (curious)
		mine.spent++;
	errno = before;
}
