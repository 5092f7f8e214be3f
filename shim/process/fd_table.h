/* What this process knows of each descriptor number.
 *
 * A word per descriptor, read and written with single atomic operations: no lock, no allocation on
 * the paths of accept, close and epoll_wait. Descriptors come and go without our seeing it
 * (closefrom, raw system calls, SCM_RIGHTS), so a word is a hint that can be stale: whoever acts on
 * it in a way that could do harm checks with the kernel first. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fd_kind {
	FD_UNKNOWN,  /* never seen, or closed */
	FD_PLAIN,    /* looked at: nothing to do for it */
	FD_SOCKET,   /* TCP socket, value: SOCKET_* bits of what the application did with it */
	FD_LISTENER, /* listening TCP socket, value: number of its listener */
	FD_INSTANCE, /* epoll instance without listeners; value: 0, or what its copies share */
	FD_EPOLL,    /* epoll instance that has listeners in it, value: number of its watch */
	FD_OURS,     /* the shim's own: invisible to the application */
};

/* What an application did with a TCP socket, so that connect() need not ask and listen() knows. */
enum socket_bits {
	SOCKET_PORT = 1 << 0,    /* bound to a port of its choice */
	SOCKET_ADDRESS = 1 << 1, /* bound to an address, the port left to the kernel */
	SOCKET_RANGE = 1 << 2,   /* IP_LOCAL_PORT_RANGE */
	SOCKET_DEVICE = 1 << 3,  /* SO_BINDTODEVICE or the like */
	SOCKET_MARK = 1 << 4,    /* SO_MARK */
	SOCKET_CALLED = 1 << 5,  /* connect() was called */
	SOCKET_UNIQUE = 1 << 6,  /* has what no copy of it would have, see kernel/uncopyable.h */
	SOCKET_UNSEEN = 1 << 7,  /* it came without our seeing it: the kernel knows the rest */
	SOCKET_TOS = 1 << 8,     /* IP_TOS or IPV6_TCLASS */
	SOCKET_APPLICATION = (1 << 9) - 1,
	/* Beyond, ours: to be looked at when closed, see connect/witness.c. */
	SOCKET_WATCHED = 1 << 9,
	/* bind() was made without the port that it asked for, see connect/late_port.c. */
	SOCKET_LATE_PORT = 1 << 10,
	/* The shim bound its port, see connect/hold.h. */
	SOCKET_HELD = 1 << 11,
};

#define FD_TABLE_MAX (1 << 20)

struct fd_word {
	uint32_t kind : 8;
	uint32_t spare : 24;
	uint32_t value;
};

/* Two levels: an application of a few descriptors pays for one leaf, and a leaf is never freed, so
 * a reader needs no more than two loads. Here, so that wrappers make no call to find out that
 * nothing is to be done: returns are mispredicted where the kernel guards against what they leak.
 */
#define FD_LEAF_BITS  12
#define FD_LEAF_WORDS (1 << FD_LEAF_BITS)
typedef _Atomic uint64_t fd_leaf[FD_LEAF_WORDS];
extern _Atomic(fd_leaf *) fd_leaves[FD_TABLE_MAX / FD_LEAF_WORDS];

static inline _Atomic uint64_t *fd_place(int fd)
{
	if ((unsigned int)fd >= FD_TABLE_MAX)
		return NULL;
	fd_leaf *leaf = atomic_load_explicit(&fd_leaves[fd >> FD_LEAF_BITS], memory_order_acquire);
	return leaf ? &(*leaf)[fd & (FD_LEAF_WORDS - 1)] : NULL;
}

/* The word of a descriptor; FD_UNKNOWN for any number that was never set, also negative ones. */
static inline struct fd_word fd_get(int fd)
{
	_Atomic uint64_t *place = fd_place(fd);
	uint64_t bits = place ? atomic_load_explicit(place, memory_order_acquire) : 0;

	return (struct fd_word){.kind = bits & 0xff, .value = (uint32_t)(bits >> 32)};
}

/* Returns false where there is no memory for it: the descriptor then stays unknown. */
bool fd_set_first(int fd, enum fd_kind kind, uint32_t value);
static inline bool fd_set_word(int fd, enum fd_kind kind, uint32_t value)
{
	_Atomic uint64_t *place = fd_place(fd);

	if (__builtin_expect(!place, 0))
		return fd_set_first(fd, kind, value);
	atomic_store_explicit(place, (uint64_t)value << 32 | kind, memory_order_release);
	return true;
}

/* Forgets the descriptor: before the real close or dup2, as the number can be reused at once. */
void fd_forget(int fd);

/* Replaces the word only if it still is what the caller saw. */
bool fd_swap(int fd, struct fd_word seen, enum fd_kind kind, uint32_t value);

/* Calls visit for every descriptor of that kind; a snapshot, not a lock. */
void fd_for_each(enum fd_kind kind, void (*visit)(int fd, uint32_t value, void *arg), void *arg);
