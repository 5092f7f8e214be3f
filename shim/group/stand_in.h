/* A thread's private epoll instance, for waits that are no epoll_wait(): accept() that blocks,
 * poll() and select(). It holds the listeners waited for and, beside each, the members of the
 * thread's home, so that all that is true of an application's instance is true of these waits. */
#pragma once
#include "shim/group/group.h"
#include "shim/group/watch.h"
#include <poll.h>

/* Once, from the constructor: instances of threads that end are closed. */
void stand_in_start(void);

/* Makes sure that the calling thread's instance holds the listener, under the application's number
 * fd. Returns the number of its watch, -1 where the group is not steered (the plain call serves it
 * as well) or the kernel refuses. Threads that are pinned nowhere wait that way, too: asleep in a
 * plain accept() they would see no sibling die. */
int stand_in_open(int listener, int fd);

/* The calling thread is about to wait in a way that nothing stands in for: nobody is to send
 * connections where it no longer looks. */
void stand_in_leave(void);

/* The wait function of a struct watch_call for the calling thread's instance. */
int stand_in_wait(const struct watch_call *call, int timeout_ms, const uint64_t *mask);

/* After a wait failed: whether the instance was closed behind our back, or waiting on it is refused
 * by now. Then it is gone; the next one is new, or there is none. */
bool stand_in_is_lost(void);

/* After EINTR: whether the kernel would have gone on, as accept() does where the handler was
 * installed with SA_RESTART. Where handlers differ one cannot know which ran: false. */
bool stand_in_restarts(void);

/* Whether the calling thread waits for listeners by poll() or select(): then accept() is to give it
 * the connection it was told of, and not to wait for another. */
bool stand_in_polls(void);

/* accept() on a blocking socket must not be tried by two at once: the slower would sleep there.
 * True: a connection waits, and until stand_in_unclaim() it is this thread's. */
bool stand_in_claim(const struct group *group, int fd);
void stand_in_unclaim(const struct group *group);

/* poll() where at least one descriptor is a listener. wait_plain is the real call. Returns
 * STAND_IN_NOT_NEEDED where the plain call serves as well: nothing was done then. */
#define STAND_IN_NOT_NEEDED (-2)
typedef int (*poll_fn)(struct pollfd *fds, nfds_t count, int timeout_ms, const uint64_t *mask);
int stand_in_poll(struct pollfd *fds, nfds_t count, int timeout_ms, const uint64_t *mask,
		  poll_fn wait_plain);
