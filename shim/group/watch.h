/* Epoll instances that have listeners in them, and how the members get in beside.
 *
 * The application's own epoll_ctl() is never changed. What it registered is noted, and the thread
 * that waits on the instance puts the members of its home CPUs beside it, under data of ours that
 * epoll_wait() turns back into the application's. Registrations that come and go between two waits
 * (nginx re-adds its listener every 16 accepts) cost two stores each and lead to nothing.
 *
 * A waiting thread wakes up a few times a second to see whether another worker died or got stuck
 * with connections in its queue, and to follow what changed. */
#pragma once
#include "shim/decide/slots.h"
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#define WATCHES_MAX 1024

struct group;

/* One wait of the application, whichever function it called. */
struct watch_call {
	/* The real call, for at most timeout_ms; mask: NULL, or the signal mask for the wait. */
	int (*wait)(const struct watch_call *call, int timeout_ms, const uint64_t *mask);
	int epfd;
	struct epoll_event *events;
	int max_events;
	int timeout_ms;       /* -1: for ever */
	const uint64_t *mask; /* the application's own, for the functions that have one */
};

/* Notes a successful epoll_ctl() on a listener. */
void watch_control(int epfd, int op, int fd, int listener, const struct epoll_event *event);

/* epoll_wait() on an instance that is known to have listeners: number is the value of its word. */
int watch_wait(unsigned number, const struct watch_call *call);

/* The same once a wait that began at start_ms brought the application nothing. */
int watch_go_on(unsigned number, const struct watch_call *call, uint64_t start_ms);

/* Once there is any. */
extern _Atomic int watch_exists;
/* What a wait on an instance returned that no word tells to have listeners. Where it holds events
 * of ours, that is a copy which nobody saw being made: the number of its watch; else -1. */
int watch_recognise(int epfd, const struct epoll_event *events, int count);
/* Makes what the kernel returned the application's. Returns how many are left. */
int watch_translate(unsigned number, struct epoll_event *events, int count);

/* Slots whose members the calling thread has in the instance it last waited on, for a listener;
 * NULL where it does not watch that listener by an epoll instance of the application's. */
const struct slot_set *watch_of_thread(int listener);
/* The same also where the thread waits by a private instance, see stand_in.h. */
const struct slot_set *watch_home_of_thread(int listener);
/* Slots whose members any thread of this process watches. */
struct slot_set watch_of_process(int listener);

/* A number of an epoll instance is about to be closed. Under no lock. */
void watch_closed(unsigned number, int fd);
/* fd now is another number of the instance. */
void watch_duplicated(unsigned number, int fd);
/* The same of one that has no listeners so far (FD_INSTANCE): to is a copy of fd. */
void watch_copied(int fd, int to);
/* Takes the members of a listener out of all instances of this process. Under self_lock(). */
void watch_forget_listener(int listener);
/* The same, but until their next wait. */
void watch_strip(int listener);
/* What stood for a listener stands for another one; -1: for none. Under self_lock(). */
void watch_relisten(int listener, int other);
/* The application takes a number of ours: what stood there moves. A member leaves all instances of
 * this process until their next wait. */
void watch_move_descriptor(int fd);
/* The calling thread's affinity changed. */
void watch_thread_moved(void);

/* A private instance in place of the application's: see stand_in.h. Returns its number or -1. */
int watch_open_private(int epfd);
bool watch_has(unsigned number, int fd, int listener);
/* Registers the listener itself too. Under self_lock(). */
bool watch_add_private(unsigned number, int fd, int listener);
/* Whether it holds another listener than that, or another number of it. */
bool watch_has_other(unsigned number, int fd);
/* Takes out the listeners that are not among those polled for now. */
void watch_keep_private(unsigned number, const struct pollfd *fds, nfds_t count);
/* Which listener an event of a private instance is about; -1: none. */
int watch_event_listener(const struct epoll_event *event);
