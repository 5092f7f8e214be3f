/* What the observer has seen, shared by its parts: walk.c fills it from /proc, serve.c finds who
 * serves what, report.c counts. */
#pragma once
#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

enum { PORTS_MAX = 8 };
enum verdict { ALIGNED, MISALIGNED, UNPINNED, UNKNOWN, VERDICTS };
enum kind { ACCEPTED, UPSTREAM, KINDS };

/* An array that grows: `count` elements of `size` bytes. */
struct list {
	void *at;
	size_t count, room, size;
};

/* A new element, all zeros. Pointers to elements hold until the next one. */
void *list_add(struct list *l);

#define each(type, item, l) \
	for (type *item = (l)->at; item && item < (type *)(l)->at + (l)->count; item++)

/* In place of a thread's index. */
enum { NOBODY = -1, SEVERAL = -2 };

struct thread {
	pid_t pid, tid;
	cpu_set_t mask;
	char mask_text[64];
	unsigned int legs[KINDS], aligned[KINDS];
};

struct epoll {
	pid_t pid;
	int fd;
	int thread;  /* who was seen waiting on it: index, NOBODY or SEVERAL */
	bool wanted; /* it holds a connection whose thread is to be found */
};

/* One inode registered in one epoll instance. */
struct entry {
	unsigned long ino;
	unsigned int device;
	int target;      /* descriptor number it was registered by */
	int epoll;       /* index */
	bool interested; /* in more than errors */
};

/* A connection, as one process holds it. */
struct leg {
	unsigned long ino;
	pid_t pid;
	int fd, packet_cpu; /* -1: none yet */
	int thread;         /* who serves it: index, NOBODY or SEVERAL */
	unsigned int device;
	enum kind kind;
	enum verdict verdict;
	struct sockaddr_storage local, remote;
	bool in_epoll, watched; /* watched: in_epoll, or a thread seen blocked on it */
};

struct scene {
	struct list pids;      /* pid_t */
	struct list threads;   /* struct thread */
	struct list epolls;    /* struct epoll */
	struct list entries;   /* struct entry, sorted by inode after the walk */
	struct list legs;      /* struct leg */
	struct list listening; /* int: ports */
};
extern struct scene scene;

struct options {
	int listen[PORTS_MAX], upstream[PORTS_MAX], listens, upstreams, wait_ms;
	bool json, list, sessions, only;
	cpu_set_t cpus; /* with receive queues */
};
extern struct options opt;

static inline struct thread *thread_at(int index)
{
	return index < 0 ? NULL : (struct thread *)scene.threads.at + index;
}

static inline int port_of(const struct sockaddr_storage *a)
{
	return ntohs(((const struct sockaddr_in *)a)->sin_port); /* same place in sockaddr_in6 */
}

/* Adds the processes that descend from those in the scene. */
void walk_descendants(void);

/* Fills the scene from the processes in it, keeping the connections that were asked for. */
void walk(void);

/* Finds the thread of every connection, and counts a connection held by several processes once. */
void serve(void);

/* Judges every connection and prints what was asked for. */
void report(void);
