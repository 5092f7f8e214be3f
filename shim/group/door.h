/* The door: where a process that has a listener, but not its group, asks those that have it.
 *
 * A unix socket in the abstract name space, which is the network namespace's, named by address,
 * device and owner. Who asks shows the listener itself; who answers checks the asking user and that
 * the socket shown is at that place. Binding the name is also how two instances that start at
 * once settle which of them builds the group. */
#pragma once
#include "shim/group/group.h"
#include "shim/kernel/socket.h"

/* Takes the name. Returns a descriptor (ours), or -errno: -EADDRINUSE where the set is elsewhere.
 */
int door_open(const struct socket_place *place, int owner);
/* From now on the set can be asked for. */
void door_start(int door);

/* Serves one caller, if one is there, without blocking. */
void door_answer(const struct group *group);

/* Asks for the group of a listener that this process holds. Waits a few hundred milliseconds at the
 * most, and only where somebody has the door open. NULL: nobody has it, or nobody answered;
 * *exists tells the two apart. Under self_lock(). */
struct group *door_ask(int listener, bool *exists);
