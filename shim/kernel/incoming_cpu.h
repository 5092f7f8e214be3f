/* SO_INCOMING_CPU as a way to steer: a socket of a group that prefers the packets of one CPU.
 *
 * Settable since Linux 4.4, but from 4.6 to 6.1 groups ignore it, and some distributions carry the
 * repair to older kernels: so it is tried, not looked up. */
#pragma once
#include <stdbool.h>

/* Whether it decides within groups here: some connections over loopback. Costs two milliseconds;
 * for when the better way is refused. */
bool incoming_cpu_is_honoured(void);

/* The member fd prefers packets of that CPU from now on; -1: of none. Returns 0 or -errno. */
int incoming_cpu_prefer(int fd, int cpu);
