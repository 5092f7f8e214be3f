/* Hand-over: where a listener cannot have member sockets, each slot has a mailbox instead, and who
 * accepts a connection of another worker's CPU puts it there before the application has seen it.
 *
 * A mailbox is a pair of unix sockets that all processes with the listener hold. Its receiving end
 * is watched as a member is, and stands for one in every way: what nobody takes out, others drain.
 * A descriptor in it belongs to the kernel, so a killed worker takes nothing along. */
#pragma once
#include "shim/group/group.h"

/* Makes a pair a slot: receiving ends first, then the sending ones. Returns 0 or -errno. */
int mailbox_make(struct group *group);

/* accepted, with the flags it was accepted with, came over the application's socket. Returns true
 * if it was put into the mailbox of the worker on its packets' CPU, and closed here; false if it is
 * for this thread (home: the slots it watches, may be NULL), or nobody there would take it. */
bool mailbox_offer(struct group *group, const struct slot_set *home, int accepted, int flags);

/* accept() from a mailbox: -1 and EAGAIN where it is empty. */
int mailbox_take(const struct group *group, unsigned slot, struct sockaddr *address,
		 socklen_t *length, int flags);
