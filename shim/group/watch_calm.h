/* The ordinary wait: of the thread that waited there before, within a tick of the clock in which
 * nothing changed. That is every wait of a worker that is busy but one every few milliseconds, and
 * all there is to do for it is to wait. */
#pragma once
#include "shim/group/ready.h"
#include "shim/group/steal.h"
#include "shim/group/watch_state.h"
#include "shim/learn/teach.h"
#include "shim/process/self.h"

extern _Atomic bool watch_masks_are_refused;

/* Whether nothing is to be done before a wait but this; else watch_wait() is to do the rest. */
static inline bool watch_is_calm(unsigned number, uint64_t now_ms)
{
	const struct watch *watch = watch_at(number);
	uint32_t any = watch->dirty | watch->draining | watch->has_oneshot | watch->private |
		       watch_masks_are_refused | teach_told | steal_ratio();

	if (any || now_ms != watch->said_ms || now_ms >= watch->next_ms ||
	    thread_watch != (int)number + 1 || watch->tid != self_tid())
		return false;
	if (ready.count)
		ready_forget_levels();
	return true;
}
