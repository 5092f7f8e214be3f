/* What the parts of bench_wrappers share. */
#pragma once
#include "tests/bench/timing.h"
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#define CALLS 50 /* a round */

/* Listeners on the first are a group of the application's own, and left alone by the policy. */
#define PLAIN_PORT   7001
#define STEERED_PORT 7002

#define INTERCEPTED(X) \
	X(epoll_wait)  \
	X(epoll_ctl)   \
	X(poll)        \
	X(select)      \
	X(close)       \
	X(dup)         \
	X(dup2)        \
	X(accept)      \
	X(accept4)     \
	X(connect) X(socket) X(bind) X(listen) X(setsockopt) X(getsockopt) X(recvmsg) X(shutdown)

#define POINTER(name) __typeof__(name) *name;
extern struct calls {
	INTERCEPTED(POINTER)
} calls[2]; /* from libc, through the shim */

struct row {
	const char *name;
	void (*call)(const struct calls *by);
	void (*before)(void), (*after)(void); /* each round */
};

struct rows {
	const struct row *row;
	size_t count;
};
extern const struct rows descriptor_rows, socket_rows;
#define ROWS_MAX 40

/* What the calls of all rows are made on. */
extern int epfd, event_fd, unix_listener, unix_socket, tcp_listener, tcp_socket;
extern struct sockaddr_in listener_name;

/* Medians of both ways, and of the difference in each round. */
struct cost {
	double bare, shim, more;
};

void look_up_calls(void);
/* Of all rows in their order; NULL behind the last. */
const struct row *row_at(size_t i);

void die(const char *what);
void pin(unsigned cpu);
int listening(int family, const void *address, socklen_t length);
int listening_on(uint16_t port);

/* In a process of its own that the library is loaded into: numbers of all rows. */
int run_calls(void);
/* The tables of what was started with, without, and with a library that is switched off; self is
 * this program. */
void calls_table(char *self, const char *library);
void start_row(const char *what, char *const *command, const char *library);
void memory_row(const char *what, char *const *command, const char *library);

/* What a steered accept() costs, of connections from that network namespace to that address. */
int run_accepts(const char *netns, const char *address);
