/* Threads nobody pinned: `[threads] pin`.
 *
 * A thread that runs an event loop, or accepts, in a process where some thread does so with a TCP
 * listener, and that still has the affinity the program was started with, is pinned: one a CPU that
 * receives, or of the policy's list. A process without a listener in any loop, such as a master
 * that forks workers, is left alone, and so are threads that wait for nothing of this kind. Whoever
 * changes a thread's affinity afterwards has the last word, as we pin a thread once. What a pinned
 * thread starts must not inherit our doing: it gets the affinity the program was started with. */
#pragma once
#include "shim/process/self.h"
#include <stdbool.h>

struct pinning_here {
	uint32_t epoch; /* process in which this thread is known to wait; 0: not known */
	bool serves;    /* and to do so with a listener */
};
extern __thread struct pinning_here pinning_here;
extern bool pinning_is_on;

/* Once, from the constructor, after runtime_start(). */
void pinning_start(void);

void pinning_meet(bool serves);

/* The calling thread is about to wait for events; serves: also for those of a TCP listener. */
static inline void pinning_waits(bool serves)
{
	if (__builtin_expect(pinning_is_on, 0) &&
	    (pinning_here.epoch != self_epoch() || serves > pinning_here.serves))
		pinning_meet(serves);
}

/* The calling thread deals connections out to others: it is no worker, and gets its freedom back.
 */
void pinning_release(void);

/* Around whatever starts something that inherits the calling thread's affinity. Returns the CPU
 * to go back to, -1: none. */
int pinning_lift(void);
void pinning_restore(int cpu);
