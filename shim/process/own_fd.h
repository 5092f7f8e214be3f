/* The shim's own descriptors: high numbers, close-on-exec, out of the application's way. */
#pragma once
#include <stdbool.h>

/* Moves fd to a number of our own (above the soft limit where the hard one allows, else above
 * FD_SETSIZE, else the highest free) and marks it FD_OURS. Takes ownership of fd: it is closed.
 * Returns the new descriptor or -errno. */
int own_fd(int fd);

/* Closes one of ours and forgets it. Negative numbers are ignored. */
void own_fd_close(int fd);

/* Where the descriptor is kept: *holder follows when the application takes its number. A holder
 * goes with the descriptor's closing. */
void own_fd_hold(int *holder);

/* The application wants that number: moves ours away. Returns the holder, NULL if it had none. */
int *own_fd_move(int fd);
