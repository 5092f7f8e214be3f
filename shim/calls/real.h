/* The calls behind the wrappers: the next library's, usually libc's.
 *
 * real_NAME is a function pointer that is good from the first instruction of the process on: until
 * it is known it leads to a function that looks it up. A successful look-up allocates nothing, so
 * this is safe inside malloc and before any constructor. */
#pragma once
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <threads.h>
#include <time.h>

#define CALL(result, name, parameters, arguments) extern result(*real_##name) parameters;
#define CALL_FCNTL(name)                          extern int (*real_##name)(int, int, ...);
#include "shim/calls/calls.def"

/* Looks all of them up. */
void real_start(void);

/* Marks what the library exports. */
#define EXPORTED __attribute__((visibility("default")))
