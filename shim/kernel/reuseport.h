/* The kernel's side of a group of listening sockets. */
#pragma once
#include "shim/kernel/socket.h"
#include <linux/filter.h>

/* Attaches a program to the group of a socket, which holds for all its sockets, in place of the one
 * before and without losing a connection. Needs no privilege. Returns 0 or -errno. */
int reuseport_attach(int fd, struct sock_filter *program, unsigned length);

/* Whether a program may be attached at all, tried on a socket that is nobody's: 0 or -errno. */
int reuseport_try(void);

/* How many TCP sockets listen at that very place, which is in the calling thread's network name
 * space, or -errno where the kernel does not tell. Costs a dump over netlink. */
int reuseport_count(const struct socket_place *place);
