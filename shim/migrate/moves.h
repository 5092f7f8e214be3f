/* Moving connections to the epoll instance of their packets' CPU.
 *
 * A move is EPOLL_CTL_ADD to the new instance, then EPOLL_CTL_DEL from the old one, by the thread
 * that waits on the old one, right before it waits again. So:
 *
 * - An event the old instance had ready is not lost: ADD looks at the connection itself, and
 *   reports what is ready then, edge-triggered or not. (With EPOLLET that may be an edge the
 *   application saw before; it has to expect that.)
 * - None is delivered twice: events that the old instance delivered were used up, as its thread
 *   waits again; and until DEL is done nobody can be given another one there.
 * - EPOLLONESHOT: whether it has fired since it was armed only the kernel knows, and to ADD one
 *   that has would arm it. One that its own thread armed since its last wait cannot have been
 *   delivered: only such move. (What goes back from an instance that is closed, or whose thread
 *   ended, is armed there: whoever was at it is done.)
 * - The new thread may be given an event, and modify, take out or close the connection, before DEL
 *   is done: it finds the descriptor's word taken, and waits for that.
 * - The number may be another connection's by now, where the one we know was closed behind our back
 *   (fclose(), a raw system call). EPOLL_CTL_MOD in the old instance, which changes nothing, comes
 *   first: it fails then, and nothing is moved.
 * - A failed ADD changes nothing. A failed DEL says that the registration is gone since: then it is
 *   not to be in the new instance either.
 * - close() and dup2() over it wait for the word before they go to the kernel, so that a move never
 *   adds what has got the number since. */
#pragma once
#include "shim/migrate/instance.h"
#include <sys/epoll.h>

typedef int (*control_fn)(int epfd, int op, int fd, struct epoll_event *event);

/* The call to move with: the application's view, so that tools between us and the kernel see it. */
extern control_fn moves_control;

/* Where a connection belongs that is being added to instance number by a thread that does not wait
 * there: the other thread may begin with it before the call returns, so any may. */
unsigned moves_target(int fd, unsigned number);

/* The calling thread, which waits on the instance, added or armed fd there: to be looked at once
 * the application is done with it, before the next wait. */
void moves_note(int fd);

/* Before a wait on the instance: moves what was noted, and looks through a few others. */
void moves_make(unsigned number, uint64_t now_ms);

/* Moves the registration; its word is taken. Returns where it is then, by state and now. */
struct place moves_transfer(int fd, struct place place, unsigned to);

/* The instance is about to be closed: what came here from others goes back, and what was registered
 * here goes everywhere. */
void moves_dissolve(unsigned number);
