/* The epoll instances of this process that connections are registered with, and the thread that
 * waits on each.
 *
 * Only that thread takes connections out, in between two waits: then it is done with the events it
 * was given, and no other thread can be given one of that instance. Where a second thread waits on
 * the same instance, nothing moves in or out of it any more; nor after a fork, as both processes
 * hold the instance from then on and each would know of its own moves only. */
#pragma once
#include "shim/decide/placement.h"
#include "shim/migrate/place.h"

#define INSTANCE_SUSPECTS 256

struct instance {
	_Atomic uint32_t epoch; /* process that uses it; 0: none */
	_Atomic int epfd;       /* one of its numbers */
	_Atomic uint32_t numbers;
	_Atomic int tid;     /* thread that waits on it; 0: none does, -1: it is relieved */
	_Atomic bool closed; /* to moves, for good: see above */
	_Atomic bool moving; /* its thread takes connections out at this moment */
	_Atomic bool serves; /* the application itself added what came in, so it serves here */

	/* Of the thread that waits. */
	_Alignas(64) _Atomic uint64_t came_ms; /* last came around */
	uint64_t next_home_ms, next_sweep_ms;
	int cursor; /* descriptor that the sweep looks at next */
	int hot;    /* so many are to be looked at soon: connections moved */
	/* Found away at the last sweep. */
	int suspects, suspect[INSTANCE_SUSPECTS];
};

struct instance *instance_at(unsigned number);
struct placement_worker *instance_worker(unsigned number);

/* Number of the instance behind a descriptor, 0 where it is not known. */
unsigned instance_of(int epfd);
/* The same, but makes it known. 0: too many. */
unsigned instance_enter(int epfd);
/* Takes part in moves. */
bool instance_is_open(unsigned number);

/* The calling thread is about to wait on it. Returns whether it is the only one that does. */
bool instance_begin(unsigned number, uint64_t now_ms);
/* Around taking connections out, by its thread. False: not now. */
bool instance_begin_moving(unsigned number);
void instance_end_moving(unsigned number);

/* Follows the thread's affinity, and what receives, where the thread serves connections: one that
 * accepts for others, or waits for something else, is not to be given any. Costs a lock and a
 * system call or two: for a few times a second. */
void instance_follow_home(unsigned number, uint64_t now_ms);

/* The instance of the worker on a CPU, one that comes around to what is brought to it: its thread
 * did not end, and if it was not seen for long has nothing to do. 0: there is none. */
unsigned instance_of_cpu(int cpu);
/* Whether packets of that interface are spread over CPUs, as far as any thread knows. */
bool instance_is_spread(int ifindex);

/* The next instance whose thread has ended, which nobody empties: the caller acts as its thread,
 * until instance_release(). 0: none. */
unsigned instance_find_orphan(unsigned after);
void instance_release(unsigned number);

/* Closes it to moves, and waits until none out of it is under way. One into it may be, by whoever
 * holds the word of what is moved. */
void instance_close(unsigned number);
/* fd, one of its numbers, is about to be closed. Returns true if it was the last. */
bool instance_lose_number(unsigned number, int fd);
void instance_end(unsigned number);

/* Before a fork: closes all to moves, and waits until none is under way. Returns whether there was
 * any. */
bool instance_close_all(void);
