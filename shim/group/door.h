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

/* How long an answer is waited for: by who starts, and by who asks again while at work. */
#define DOOR_WAIT_MS  300
#define DOOR_AGAIN_MS 20

/* Asks for the group of a listener that this process holds; waits only where somebody has the door
 * open. NULL: *error tells why. -ENOENT: nobody has it; -ETIMEDOUT: nobody answered; else the
 * answer is of no use, nor will the next one be. Under self_lock(). */
struct group *door_ask(int listener, unsigned wait_ms, int *error);
