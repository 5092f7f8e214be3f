/* Hand-over: where a listener cannot have member sockets, each slot has a mailbox instead, and who
 * accepts a connection of another worker's CPU puts it there before the application has seen it.
 *
 * A mailbox is a pair of unix sockets that all processes with the listener hold. Its receiving end
 * is watched as a member is, and stands for one in every way: what nobody takes out, others drain.
 * A descriptor in it belongs to the kernel, so a killed worker takes nothing along. */
#pragma once
#include "shim/group/group.h"
#include <netinet/in.h>

/* What comes with a descriptor: what accept4() was asked for, and what it told. Once the client has
 * reset the connection, nobody else can tell who that was. */
struct letter {
	int flags;
	socklen_t length;
	struct sockaddr_in6 from; /* has room for both families */
};

/* Makes a pair a slot: receiving ends first, then the sending ones. Returns 0 or -errno. */
int mailbox_make(struct group *group);

/* accepted came over the application's socket: the slot of the worker on its packets' CPU. -1 if it
 * is for this thread (home: the slots it watches, may be NULL), or nobody there would take it. */
int mailbox_of(struct group *group, const struct slot_set *home, int accepted);
/* Puts it into a mailbox and closes it here. Returns false where that is full. */
bool mailbox_post(const struct group *group, unsigned slot, int accepted,
		  const struct letter *letter);

/* accept() from a mailbox, in the way that flags say. -1 and EAGAIN where it is empty, EMFILE where
 * it is not but the process has no descriptor left. */
int mailbox_take(const struct group *group, unsigned slot, int flags, struct letter *letter);

/* How many connections are in it. */
int mailbox_length(const struct group *group, unsigned slot);
