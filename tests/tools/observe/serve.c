/* Finds the thread that serves each connection; main.c says how. */
#include "observe.h"
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS_MIN = 10, ROUND_MS = 2 };

static void seen(int *thread, int index)
{
	*thread = *thread == NOBODY || *thread == index ? index : SEVERAL;
}

/* Reads `size` bytes of a thread's memory: what a poll or select call was given. */
static bool peek(pid_t tid, unsigned long address, void *out, size_t size)
{
	struct iovec to = {out, size}, from = {(void *)address, size};

	return process_vm_readv(tid, &to, 1, &from, 1, 0) == (ssize_t)size;
}

static void seen_on_fd(int index, int fd)
{
	struct thread *t = thread_at(index);

	each (struct leg, leg, &scene.legs) {
		if (leg->pid != t->pid || leg->fd != fd || leg->in_epoll)
			continue;
		leg->watched = true;
		seen(&leg->thread, index);
	}
}

static void seen_polling(int index, unsigned long address, unsigned long count)
{
	static struct pollfd set[20000];

	if (count <= sizeof(set) / sizeof(*set) &&
	    peek(thread_at(index)->tid, address, set, count * sizeof(*set)))
		for (unsigned long i = 0; i < count; i++)
			seen_on_fd(index, set[i].fd);
}

static void seen_selecting(int index, unsigned long count, unsigned long address)
{
	fd_set set;

	FD_ZERO(&set);
	if (count <= FD_SETSIZE && address &&
	    peek(thread_at(index)->tid, address, &set, (count + 63) / 64 * 8))
		for (unsigned long fd = 0; fd < count; fd++)
			if (FD_ISSET(fd, &set))
				seen_on_fd(index, fd);
}

/* What call a thread sits in: "NUMBER 0xARG 0xARG ...". The kernel answers so for a thread that is
 * asleep, and "running" for any other: a thread that works is not caught half-way. */
static void sample_thread(int index)
{
	struct thread *t = thread_at(index);
	unsigned long arg[3];
	char path[64], line[256];
	long number;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", t->pid, t->tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	n = read(fd, line, sizeof(line) - 1);
	close(fd);
	line[n > 0 ? n : 0] = 0;
	if (sscanf(line, "%ld %lx %lx %lx", &number, &arg[0], &arg[1], &arg[2]) != 4)
		return;

	switch (number) {
#ifdef SYS_epoll_wait
	case SYS_epoll_wait:
#endif
	case SYS_epoll_pwait:
	case SYS_epoll_pwait2:
		each (struct epoll, e, &scene.epolls)
			if (e->pid == t->pid && e->fd == (int)arg[0])
				seen(&e->thread, index);
		break;
#ifdef SYS_poll
	case SYS_poll:
#endif
	case SYS_ppoll:
		seen_polling(index, arg[0], arg[1]);
		break;
#ifdef SYS_select
	case SYS_select:
#endif
	case SYS_pselect6:
		seen_selecting(index, arg[0], arg[1]);
		break;
	case SYS_read:
	case SYS_readv:
	case SYS_recvfrom:
	case SYS_recvmsg:
	case SYS_recvmmsg:
	case SYS_write:
	case SYS_writev:
	case SYS_sendto:
	case SYS_sendmsg:
	case SYS_splice:
	case SYS_sendfile:
		seen_on_fd(index, arg[0]);
		break;
	}
}

/* Entries are sorted by inode: [first, end) are those of one. */
static struct entry *first_entry(unsigned long ino)
{
	size_t low = 0, high = scene.entries.count;
	struct entry *all = scene.entries.at;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (all[middle].ino < ino)
			low = middle + 1;
		else
			high = middle;
	}
	return all + low;
}

#define each_entry(e, number)                                                   \
	for (struct entry *e = first_entry(number);                             \
	     e && e < (struct entry *)scene.entries.at + scene.entries.count && \
	     e->ino == (number);                                                \
	     e++)

/* The thread of an instance: its own waiter, or the one of the instance it is registered in. All
 * epoll instances share one inode, so those are told by process and descriptor. */
static int epoll_thread(int index, int depth)
{
	struct epoll *all = scene.epolls.at, *inner = all + index;
	int thread = inner->thread;

	if (thread != NOBODY || depth == 4)
		return thread;
	each (struct entry, e, &scene.entries)
		if (all[e->epoll].pid == inner->pid && e->target == inner->fd &&
		    e->epoll != index) {
			int outer = epoll_thread(e->epoll, depth + 1);

			if (outer == SEVERAL)
				return SEVERAL;
			if (outer != NOBODY)
				seen(&thread, outer);
		}
	return thread;
}

static int only_thread(pid_t pid)
{
	int found = NOBODY;

	each (struct thread, t, &scene.threads)
		if (t->pid == pid)
			seen(&found, t - (struct thread *)scene.threads.at);
	return found;
}

/* What needs no look at the threads: which connections are in an epoll instance, and which belong
 * to a process of one thread. */
static void mark(void)
{
	each (struct leg, leg, &scene.legs) {
		leg->thread = only_thread(leg->pid);
		if (leg->thread == SEVERAL)
			leg->thread = NOBODY;
		each_entry (e, leg->ino) {
			struct epoll *epoll = (struct epoll *)scene.epolls.at + e->epoll;

			if (e->device != leg->device || epoll->pid != leg->pid)
				continue;
			leg->in_epoll = leg->watched = true;
			epoll->wanted |= leg->thread == NOBODY;
		}
	}
}

static bool everything_seen(void)
{
	each (struct epoll, e, &scene.epolls)
		if (e->wanted && epoll_thread(e - (struct epoll *)scene.epolls.at, 0) == NOBODY)
			return false;
	each (struct leg, leg, &scene.legs)
		if (!leg->in_epoll && leg->thread == NOBODY)
			return false;
	return true;
}

/* Several rounds even when all is seen at once: a second thread on one instance shows later. */
static void sample(void)
{
	const struct timespec pause = {.tv_nsec = ROUND_MS * 1000000L};

	for (int round = 0;
	     round < ROUNDS_MIN || (round < opt.wait_ms / ROUND_MS && !everything_seen());
	     round++) {
		for (size_t i = 0; i < scene.threads.count; i++)
			sample_thread(i);
		nanosleep(&pause, NULL);
	}
}

/* Whether an entry of a process' epoll instance is of this connection. One without interest (a
 * spent EPOLLONESHOT, a connection parked there) counts only where no other is. */
static bool holds(const struct entry *e, const struct leg *leg, bool interested)
{
	return e->device == leg->device && e->interested == interested &&
	       ((struct epoll *)scene.epolls.at)[e->epoll].pid == leg->pid;
}

static void find_thread(struct leg *leg)
{
	for (int interested = 1; interested >= 0 && leg->thread == NOBODY; interested--) {
		each_entry (e, leg->ino) {
			int thread;

			if (!holds(e, leg, interested))
				continue;
			thread = epoll_thread(e->epoll, 0);
			if (thread < 0 || (leg->thread != NOBODY && leg->thread != thread))
				thread = SEVERAL;
			leg->thread = thread;
		}
	}
}

static int compare_leg(const void *a, const void *b)
{
	const struct leg *x = a, *y = b;

	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return y->watched - x->watched; /* who watches it comes first */
}

/* A connection held by several processes (across a fork, while handed over) counts once: for the
 * one that watches it, for nobody if several do, or none. */
static void merge_holders(void)
{
	struct leg *all = scene.legs.at;
	size_t kept = 0;

	if (scene.legs.count)
		qsort(scene.legs.at, scene.legs.count, sizeof(struct leg), compare_leg);
	for (size_t i = 0; i < scene.legs.count; i++) {
		struct leg *last = kept ? &all[kept - 1] : NULL;

		if (!last || last->ino != all[i].ino)
			all[kept++] = all[i];
		else if (last->watched == all[i].watched && last->thread != all[i].thread)
			last->thread = SEVERAL;
	}
	scene.legs.count = kept;
}

void serve(void)
{
	mark();
	sample();
	each (struct leg, leg, &scene.legs)
		find_thread(leg);
	merge_holders();
}
