/* Which process and thread this is, and the one lock for rare work.
 *
 * Forks happen that no hook sees (_Fork, raw clone), so the process is recognised by a page that
 * the kernel wipes in the child (MADV_WIPEONFORK). A vfork child shares that page and everything
 * else with its suspended parent: it must change nothing. */
#pragma once
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Before anything else; again is harmless. Returns false where there is no memory. */
bool self_start(void);

/* Zero in a fresh child. */
struct self_page {
	_Atomic int pid;
	_Atomic int locked;
	_Atomic uint32_t pid_space;
};
extern _Atomic(struct self_page *) self_page;
extern _Atomic uint32_t self_forks;
void self_begin(void);

/* Raised by each fork: what was made under an older epoch belongs to an ancestor. */
static inline uint32_t self_epoch(void)
{
	if (__builtin_expect(!atomic_load_explicit(&self_page->pid, memory_order_acquire), 0))
		self_begin();
	return atomic_load_explicit(&self_forks, memory_order_relaxed);
}
int self_pid(void);
/* The pid name space that those two are numbers in; 0 where `proc`, a directory /proc, does not
 * tell. A child of a fork may be in another one than its parent. */
uint32_t self_pid_space(int proc);

/* The calling thread, as of an epoch. */
struct self_thread {
	uint32_t epoch;
	int tid;
};
extern __thread struct self_thread self_thread;
int self_tid_slowly(void);
static inline int self_tid(void)
{
	return __builtin_expect(self_thread.epoch == self_epoch(), 1) ? self_thread.tid
								      : self_tid_slowly();
}

/* True in a vfork child, whose memory is its parent's. Costs a system call. */
bool self_is_borrowed(void);

/* Serialises listen, close of a listener, publishing and other rare work of this process. Signals
 * are blocked meanwhile, so a handler that does the same cannot find its own thread inside.
 * A forked child finds it free. */
struct self_guard {
	uint64_t signals;
};
void self_lock(struct self_guard *guard);
void self_unlock(const struct self_guard *guard);
/* For what can be left to whoever has it, or to the next time. */
bool self_trylock(struct self_guard *guard);

/* For who holds it and may have to wait for the kernel: others may have it meanwhile. Signals stay
 * blocked. */
void self_pause(void);
void self_resume(void);

/* Signals alone. */
void self_block_signals(struct self_guard *guard);
void self_allow_signals(const struct self_guard *guard);
