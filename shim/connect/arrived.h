/* Accepted connections teach where flows arrive, as those that are made do (witness.h). */
#pragma once
#include <stdbool.h>

/* A connection was accepted from the outside, or from this host. A load or two where there is
 * nothing to learn, or everything is known; else some system calls, for one connection of many. */
struct arrived_here {
	unsigned until; /* connections that go by before the next one that is looked at */
	unsigned spent; /* of what is paid for */
	bool curious;   /* something is not known yet; found out anew every few connections */
};
extern __thread struct arrived_here arrived_here;

/* So often it is found out whether all is known by now. */
#define ARRIVED_ASKS 8

void arrived_slowly(int fd);
static inline void arrived(int fd)
{
	if (__builtin_expect(arrived_here.until % ARRIVED_ASKS != 0 && !arrived_here.curious, 1))
		arrived_here.until--;
	else
		arrived_slowly(fd);
}
