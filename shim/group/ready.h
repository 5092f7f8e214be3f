/* Members that epoll_wait() reported to this thread and accept() has yet to empty.
 *
 * It is what makes a connection through a member cost no extra system call: accept() on the
 * application's descriptor goes straight to the member that has one. */
#pragma once
#include "shim/decide/slots.h"
#include <stdbool.h>
#include <stdint.h>

#define READY_MAX 32

struct ready_member {
	uint16_t group, slot;
	bool edge : 1; /* reported once: must be kept until it is empty */
	bool home : 1; /* epoll_wait() reported it, so it is one of the thread's home */
	uint8_t most;  /* so many may be taken, and no more; 0: all */
};

struct ready {
	unsigned count;
	struct ready_member member[READY_MAX];
};

extern __thread struct ready ready;

/* Returns false where there is no room. */
bool ready_add_further(struct ready_member member);
static inline bool ready_add(struct ready_member member)
{
	if (__builtin_expect(ready.count, 0))
		return ready_add_further(member);
	ready.member[0] = member;
	ready.count = 1;
	return true;
}
/* Before the next wait: what is level-triggered will be reported again. */
void ready_forget_levels(void);
/* One was taken from it. */
void ready_took(struct ready_member member);
/* Nothing where it is not there. */
void ready_remove(struct ready_member member);
/* Of that group's, one in a slot of the set comes first from now on. False: there is none. */
bool ready_prefer(uint16_t group, const struct slot_set *slots);
