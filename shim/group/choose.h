/* Which group a listener gets: one that is here, that of another process, a new one; and what is
 * said where it gets none. All but the questions of one socket run under self_lock(). */
#pragma once
#include "shim/group/group.h"

/* Of a socket that is about to listen: why it is not to be a group; NULL where nothing speaks
 * against it. */
const char *choose_against(int fd);
bool choose_is_bound(int fd); /* to a port */
bool choose_is_port_wanted(int fd);
/* Whether a copy would let through connections that the socket itself would not. */
bool choose_is_unique(int fd, bool listening);

/* A new one for a socket that is about to listen, or NULL. */
struct group *choose_new(int fd, int backlog);

/* For one with SO_REUSEPORT: that of its address in this process or another, else, where it is the
 * first, a new one. built: whether it is that. */
struct group *choose_joining(int fd, int backlog, bool *built);

/* Of a socket that listens already: that of a process which was there before, else a new one. With
 * SO_REUSEPORT set it is the application's own group, or that of a process that does not answer:
 * then there must be no second one. asked: it was there before. */
struct group *choose_for_listening(int fd, bool *asked);
