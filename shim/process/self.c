#include "shim/process/self.h"
#include "shim/kernel/sys.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>

/* Zero in a fresh child. */
struct wiped {
	_Atomic int pid;
	_Atomic int locked;
};

static _Atomic(struct wiped *) page;
static _Atomic uint32_t epoch;

static __thread struct {
	uint32_t epoch;
	int tid;
} thread;

/* A process that forks, and whose child vforks before it has called us: the first to look at the
 * wiped page would be the one that only borrows it. */
static void look_at_once(void)
{
	self_epoch();
}

bool self_start(void)
{
	struct wiped *none = NULL;

	if (page)
		return true;
	long map = sys(SYS_mmap, NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
	if (map < 0 && map > -4096)
		return false;
	/* Refused before Linux 4.14: then a fork goes unnoticed until a process id differs. */
	sys(SYS_madvise, map, 4096, MADV_WIPEONFORK);
	if (!atomic_compare_exchange_strong(&page, &none, (struct wiped *)map))
		sys(SYS_munmap, map, 4096);
	else
		pthread_atfork(NULL, NULL, look_at_once);
	self_epoch();
	return true;
}

uint32_t self_epoch(void)
{
	int none = 0;

	if (__builtin_expect(!atomic_load_explicit(&page->pid, memory_order_acquire), 0) &&
	    atomic_compare_exchange_strong(&page->pid, &none, (int)sys(SYS_getpid)))
		atomic_fetch_add(&epoch, 1);
	return atomic_load_explicit(&epoch, memory_order_relaxed);
}

int self_pid(void)
{
	self_epoch();
	return page->pid;
}

int self_tid(void)
{
	uint32_t now = self_epoch();

	if (thread.epoch != now) {
		thread.tid = (int)sys(SYS_gettid);
		thread.epoch = now;
	}
	return thread.tid;
}

bool self_is_borrowed(void)
{
	return self_pid() != (int)sys(SYS_getpid);
}

void self_lock(struct self_guard *guard)
{
	uint64_t all = ~UINT64_C(0);
	int free = 0;

	sys(SYS_rt_sigprocmask, SIG_BLOCK, &all, &guard->signals, sizeof(all));
	self_epoch();
	while (!atomic_compare_exchange_weak(&page->locked, &free, 1)) {
		free = 0;
		sys(SYS_sched_yield);
	}
}

void self_unlock(const struct self_guard *guard)
{
	page->locked = 0;
	sys(SYS_rt_sigprocmask, SIG_SETMASK, &guard->signals, NULL, sizeof(guard->signals));
}
