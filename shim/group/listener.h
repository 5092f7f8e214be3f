/* The application's listening sockets: what it did with them, and which group stands behind. */
#pragma once
#include "shim/group/group.h"
#include "shim/process/fd_table.h"

#define LISTENERS_MAX 512

struct listener {
	_Atomic int in_use;
	uint16_t group;
	bool app_reuseport;           /* what the application believes SO_REUSEPORT to be */
	_Atomic int timeout_ms;       /* SO_RCVTIMEO, how long accept() may block; -1: for ever */
	_Atomic uint32_t descriptors; /* numbers of it in this process */
	uint64_t cookie;              /* the kernel's identity of it */
	_Atomic bool asked;           /* accept() was called, so the application does so by us */
	_Atomic bool passed_by; /* it does not: its members are left alone, see watch_wait.c */
};

/* The number of the listener behind a descriptor, -1 if none that is steered. Looks at a descriptor
 * never seen before, once: one that arrived listening (socket activation, exec, SCM_RIGHTS) becomes
 * a listener here. */
int listener_look(int fd);
static inline int listener_of(int fd)
{
	struct fd_word word = fd_get(fd);

	return __builtin_expect(word.kind == FD_LISTENER, 1) ? (int)word.value
	       : word.kind == FD_UNKNOWN                     ? listener_look(fd)
							     : -1;
}
/* The same without looking: for calls that concern any descriptor. */
static inline int listener_known(int fd)
{
	struct fd_word word = fd_get(fd);

	return word.kind == FD_LISTENER ? (int)word.value : -1;
}

extern struct listener listener_places[LISTENERS_MAX];
static inline struct listener *listener_at(int number)
{
	return &listener_places[(unsigned)number % LISTENERS_MAX];
}
static inline struct group *listener_group(int number)
{
	return group_at(listener_at(number)->group);
}
static inline void listener_asked(int number)
{
	if (__builtin_expect(!listener_at(number)->asked, 0))
		listener_at(number)->asked = true;
}

/* fd is a listener of that group from now on. Returns its number, -1 where there are too many.
 * Under self_lock(). */
int listener_enter(int fd, struct group *group, bool app_reuseport);

/* SO_RCVTIMEO in milliseconds; -1 for ever, for which 0 stands there. */
int listener_timeout(int fd);

/* Looks at a descriptor that listens as if it had just arrived; under self_lock(). */
int listener_adopt(int fd);
/* What listener_close() does; under self_lock(). */
void listener_leave(int fd, int number);

/* listen(): makes or joins the group, around the real call. Result and errno are the real call's.
 */
int listener_listen(int fd, int backlog, int (*real_listen)(int, int));

/* bind() follows: where the policy lets instances share the address, makes the kernel let them. */
void listener_share(int fd, const struct sockaddr *address, socklen_t length);

/* A descriptor is about to be closed or overwritten. */
void listener_close(int fd);
/* fd now is another number of the listener. */
void listener_duplicated(int number, int fd);
/* For good: all comes over the application's own sockets, as without the shim. Under self_lock().
 */
void listener_stand_aside(struct group *group, bool own_program, const char *why);
/* The application ended its listening: shutdown(SHUT_RD), connect(AF_UNSPEC). */
void listener_stopped(int number);

/* setsockopt() on it succeeded. */
void listener_option_set(int number, int fd, int level, int name, const void *value,
			 socklen_t length);
/* getsockopt() on it: corrects what only the shim changed. */
void listener_option_read(int number, int level, int name, void *value, const socklen_t *length);
