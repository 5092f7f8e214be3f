/* `[migrate] mode = epoll`: the workers of an application are interchangeable, so a connection may
 * be registered with the epoll instance of whichever of them is on its packets' CPU.
 *
 * The instances that connections are added to, or threads wait on, are one to the application: it
 * adds, modifies and takes out with any of them, and the call goes where the registration is. What
 * it registered is noted, so that it can be moved (moves.h). Only connected TCP sockets take part.
 * Data of events is never changed: an instance that is waited on behind our back, or in a child of
 * a fork, delivers what the application registered. */
#pragma once
#include <stdbool.h>
#include <sys/epoll.h>

/* Whether the policy asks for it. */
extern bool migrate_is_on;

/* Once, from the constructor, after runtime_start(). */
void migrate_start(int (*real_control)(int epfd, int op, int fd, struct epoll_event *event));

/* epoll_ctl() on what is no listener: result and errno are the real call's. */
int migrate_control(int epfd, int op, int fd, struct epoll_event *event);

/* The calling thread is about to wait on an instance. */
void migrate_before_wait(int epfd);
static inline void migrate_waits(int epfd)
{
	if (__builtin_expect(migrate_is_on, 0))
		migrate_before_wait(epfd);
}

/* fd is about to be closed or overwritten, or is an instance just made. Not to be called for what
 * stays open in the end: what was registered is forgotten. */
void migrate_forget(int fd);
static inline void migrate_closing(int fd)
{
	if (__builtin_expect(migrate_is_on, 0))
		migrate_forget(fd);
}
void migrate_closing_range(unsigned int first, unsigned int last);

/* to now is a copy of fd. */
void migrate_tie(int fd, int to);
static inline void migrate_copied(int fd, int to)
{
	if (__builtin_expect(migrate_is_on, 0) && to >= 0)
		migrate_tie(fd, to);
}
