/* Shared by the parts of the watches: what is registered (watch.c), what is done before a wait
 * (watch_settle.c), waiting (watch_wait.c). */
#pragma once
#include "shim/group/registration.h"
#include "shim/group/watch.h"

struct watch {
	/* What an ordinary wait reads, see watch_is_calm(). */
	_Atomic uint64_t next_ms;     /* when to look after it again */
	_Atomic uint64_t said_ms;     /* when the ledgers were told last that its thread moves */
	_Atomic int tid;              /* thread that waits on it */
	_Atomic uint32_t dirty;       /* some registration was touched since the last wait */
	_Atomic uint32_t draining;    /* some registration has slots to drain */
	_Atomic uint32_t has_oneshot; /* some registration has EPOLLONESHOT */
	struct registration *_Atomic first;
	_Atomic bool private; /* ours, in place of one of the application's */

	_Atomic uint32_t in_use;
	int epfd;                     /* one of its numbers */
	_Atomic uint32_t descriptors; /* how many it has */
	_Atomic uint32_t lost;        /* private, and a listener is gone: who waits is to return */
	_Atomic uint32_t takeovers;   /* how often another thread waited on it than before */
	uint32_t news_epoch;          /* process whose news of the machine it waits for, too */
	_Atomic uint32_t news_rest;   /* looks to come until it waits for more of them */
	uint64_t followed_ms, evened_ms, found_ms, came_ms; /* steal.h */
	bool takes_part, is_busy, is_hot;                   /* steal.h */
} __attribute__((aligned(64)));

extern struct watch watch_places[WATCHES_MAX];
static inline struct watch *watch_at(unsigned number)
{
	return &watch_places[number % WATCHES_MAX];
}
extern __thread int thread_watch; /* number + 1 of the one this thread last waited on; 0: none */

/* How long the thread may sleep now. left_ms: -1 for ever. Another thread may want it looked after
 * at once. */
static inline int watch_slice(const struct watch *watch, uint64_t now_ms, int64_t left_ms)
{
	int64_t slice = (int64_t)(watch->next_ms - now_ms);

	if (slice < 0)
		slice = 0;
	return (int)(left_ms < 0 || left_ms > slice ? slice : left_ms);
}

/* The kernel announced a change of the machine. */
void watch_has_news(struct watch *watch);

/* Before each wait. Returns whether slots are to be drained. */
bool watch_begin(struct watch *watch, uint64_t now_ms);
