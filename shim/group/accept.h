/* accept() on a listener whose connections may wait at members. */
#pragma once
#include <sys/socket.h>

typedef int (*accept_fn)(int fd, struct sockaddr *address, socklen_t *length, int flags);

/* Takes the connection from a member that epoll_wait() reported, else from the application's own
 * socket, else from any member this thread watches. real is the application's call. */
int accept_from(int listener, int fd, struct sockaddr *address, socklen_t *length, int flags,
		accept_fn real);
