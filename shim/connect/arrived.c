#include "shim/connect/arrived.h"
#include "shim/connect/established.h"
#include "shim/connect/outgoing.h"
#include "shim/kernel/clock.h"
#include "shim/kernel/socket.h"
#include "shim/learn/teach.h"
#include <errno.h>
#include <stddef.h>

/* Looked at for nothing so often, a thread's connections are not the ones that are wanted. */
#define DULL_MAX 64
#define INTERVAL 32

static __thread struct {
	unsigned until; /* connections that go by before the next one that is looked at */
	unsigned dull;  /* looks in a row that told nothing */
} mine;

/* False where the connection had nothing to tell. */
static bool look(int fd)
{
	struct uplinks *uplinks = outgoing_watched(clock_ms());
	struct flow flow;

	if (!uplinks || !uplinks->learns || !established_flow(fd, &flow))
		return false;
	int cpu = socket_incoming_cpu(fd);
	const struct uplink *uplink = cpu < 0 ? NULL : uplink_find(uplinks, socket_interface(fd));

	if (!uplink || !uplink->learns)
		return false;
	teach(uplink->ifindex, uplink->name, &uplink->arrival.hash, &flow, cpu, -1);
	return true;
}

void arrived(int fd)
{
	int before = errno;

	if (mine.until && --mine.until && (mine.dull >= DULL_MAX || !teach_is_curious()))
		return;
	mine.until = INTERVAL;
	if (look(fd))
		mine.dull = 0;
	else if (mine.dull < DULL_MAX)
		mine.dull++;
	errno = before;
}
