/* The shim's own descriptors: high numbers, close-on-exec, out of the application's way. */
#pragma once
#include <stdbool.h>

/* Moves fd to a number of our own (above the soft limit where the hard one allows, else above
 * FD_SETSIZE, else the highest free) and marks it FD_OURS. Takes ownership of fd: it is closed.
 * Returns the new descriptor or -errno. */
int own_fd(int fd);

/* Marks one that stands where ours belong already. Returns false where it is not open. */
bool own_fd_mark(int fd);

/* Whether the number still is what we put there. An application may close what it does not know by
 * raw system calls, and have the number for something of its own. Costs a system call. */
bool own_fd_holds(int fd);

/* Closes one of ours, where it still is there, and forgets it. Negative numbers are ignored. */
void own_fd_close(int fd);

/* The same for what has a holder, see below: of another holder's it is no business. */
bool own_fd_is_held(const int *holder);
void own_fd_drop(int *holder);

/* Where the descriptor is kept: *holder follows when the application takes its number. A holder
 * goes with the descriptor's closing. */
void own_fd_hold(int *holder);

/* The application wants that number: moves ours away. Returns the holder, NULL if it had none. */
int *own_fd_move(int fd);
