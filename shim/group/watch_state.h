/* Shared by the parts of the watches: what is registered (watch.c), what is done before a wait
 * (watch_settle.c), waiting (watch_wait.c). */
#pragma once
#include "shim/group/registration.h"
#include "shim/group/watch.h"

struct watch {
	_Atomic uint32_t in_use;
	_Atomic uint32_t dirty;       /* some registration was touched since the last wait */
	_Atomic int tid;              /* thread that waits on it */
	int epfd;                     /* one of its numbers */
	_Atomic uint32_t descriptors; /* how many it has */
	_Atomic bool private;         /* ours, in place of one of the application's */
	_Atomic uint32_t lost;        /* private, and a listener is gone: who waits is to return */
	_Atomic uint32_t takeovers;   /* how often another thread waited on it than before */
	_Atomic uint64_t next_ms;     /* when to look after it again */
	_Atomic uint64_t said_ms;     /* when the ledgers were told last that its thread moves */
	_Atomic uint32_t draining;    /* some registration has slots to drain */
	_Atomic uint32_t has_oneshot; /* some registration has EPOLLONESHOT */
	uint32_t news_epoch;          /* process whose news of the machine it waits for, too */
	_Atomic uint32_t news_rest;   /* looks to come until it waits for more of them */
	uint64_t followed_ms, evened_ms;  /* steal.h */
	bool takes_part, is_busy, is_hot; /* steal.h */
	struct registration *_Atomic first;
};

struct watch *watch_at(unsigned number);
extern __thread int thread_watch; /* number + 1 of the one this thread last waited on; 0: none */

/* The kernel announced a change of the machine. */
void watch_has_news(struct watch *watch);

/* Before each wait. Returns whether slots are to be drained. */
bool watch_begin(struct watch *watch, uint64_t now_ms);
