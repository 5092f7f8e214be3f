/* Which CPU each thread that we pinned sits on, for all processes forked from one program.
 *
 * A shared page of seats; seat k is at the k-th CPU to be had, counted around. A thread takes the
 * first seat that is free, so threads get one CPU each in the order in which they ask, the CPU of
 * one that is gone goes to the next, and more threads than CPUs come around again. A seat is held
 * as long as its thread's affinity is the one CPU: that thread may end, be killed, or pin itself
 * elsewhere, and nobody needs to be told. */
#pragma once
#include <sched.h>
#include <stdbool.h>

/* Once, before the first fork. Returns false where there is no memory. */
bool seats_start(void);

/* Pins a thread of this process to the CPU of the first free seat. Returns the CPU, or -errno. */
int seats_take(int tid, const cpu_set_t *cpus);

/* The CPU of the seat that the thread holds, -1: none. */
int seats_cpu_of(int tid);

/* Gives the seat up and the thread that affinity; nothing where it has no seat. Of threads that
 * share a CPU, the last gets the seat. */
void seats_leave(int tid, const cpu_set_t *affinity);

/* The thread keeps its seat although its affinity is another for a while, and until when. */
void seats_away(int tid);
void seats_back(int tid);
