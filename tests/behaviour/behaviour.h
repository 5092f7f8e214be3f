/* One small program per intercepted call, and per thing that goes around the interception. Each
 * checks what plain Linux does, so that run without the shim it tests its own expectations, and
 * with the shim it tests the shim.
 *
 * A program defines behaviour(). main(), which pins the process to CPU 0, comes from behaviour.c;
 * built as a shared library, its constructor runs the same. */
#pragma once
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void behaviour(void);

/* Notes a failure and goes on. */
#define CHECK(what) check((what), #what, __FILE__, __LINE__)
/* The call returns -1 and sets errno to that. */
#define CHECK_FAILS(call, error)                                                              \
	do {                                                                                  \
		errno = 0;                                                                    \
		long check_result = (long)(call);                                             \
		check_fails(check_result, errno, (error), #call, #error, __FILE__, __LINE__); \
	} while (0)
/* Cannot go on without it. */
#define NEED(what)                      \
	do {                            \
		if (!CHECK(what))       \
			check_finish(); \
	} while (0)

bool check(bool holds, const char *what, const char *file, int line);
void check_fails(long result, int error, int wanted, const char *what, const char *name,
		 const char *file, int line);
/* Ends the process with the result so far. */
void check_finish(void) __attribute__((noreturn));
int check_failures(void);
/* Says why nothing of this program can be tried here, and ends it. */
void skip(const char *why) __attribute__((noreturn));

/* Where a client comes from: its packets are processed on that CPU by the soft RSS NIC. Without a
 * bench around (BEHAVIOUR_PEER unset) all are loopback. */
enum way { LOOPBACK, CPU0, CPU1, WAYS };

/* A listening socket on all IPv4 addresses, on a port of the kernel's choice; flags as of
 * socket(). */
int tcp_listener(int flags);
int tcp_bound(int flags);
int port_of(int fd);

/* Whether clients ask for TCP_FASTOPEN: connected once they write, then. */
extern bool clients_open_fast;
/* A connected client, made with raw system calls; or -1 with errno. */
int client(enum way way, int port);
int client6(enum way way, int port);
/* A client that must succeed. */
int connected(enum way way, int port);
/* Closes it, raw too. */
void gone(int fd);
bool is_refused(enum way way, int port);
/* A listening socket over there (without a bench: of loopback), made with raw system calls, and
 * where. It accepts nothing: 4,000 clients are connected all the same. */
int peer_listener(struct sockaddr_in *address);
/* Whether a connection made here arrives where the shim should have brought it: to the CPU, where
 * it steers. */
bool is_home(int fd, int cpu);

/* fd of the client is the other end of accepted. */
bool is_pair(int client_fd, int accepted);

/* Whether the shim steers here; then members listen beside the socket. */
bool is_steered(void);
/* What the shim made of the listener is still there: where it steers, its members. */
bool is_as_it_was(int listener);
/* Sockets that listen on a port in this network namespace. */
int listening_on(int port);
/* Whether the listener has at least one connection in its own queue. */
bool waits_at(int listener);
/* A connection waits at a member, not at the listener: what the programs are about. */
bool waits_at_member(int listener);

bool is_readable(int fd, int timeout_ms);
int set_int(int fd, int level, int name, int value);
int get_int(int fd, int level, int name);

void pin(int cpu);
void unpin(void);
double now_ms(void);
void sleep_ms(int ms);
/* Runs handler on the signal, with or without SA_RESTART. */
void on_signal(int signal, void (*handler)(int), bool restart);
/* Sends the signal to the calling thread after a while, from another process. */
pid_t signal_later(int signal, int after_ms);
/* A client after a while, from another process, which holds it until killed. */
pid_t client_later(enum way way, int port, int after_ms);
/* So many clients one after another, on all ways, from another process: its exit status is 0 if
 * each was sent a byte and then the end. */
pid_t clients(int port, int count);
void end_child(pid_t pid);
/* A filter of system calls refuses that one from now on, in this process and its children. */
void refuse(long call, int error);
/* Status of a child, 0 if it exited so. */
int exit_of(pid_t pid);
