#include "shim/process/self.h"
#include "shim/kernel/procfs.h"
#include "shim/kernel/sys.h"
#include "shim/process/hot.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <time.h>

#define YIELDS 64

HOT_DATA _Atomic(struct self_page *) self_page;
HOT_DATA _Atomic uint32_t self_forks;

__thread struct self_thread self_thread;

/* In the child of a fork(). One that vforks before it has called us would leave the first look at
 * the wiped page to the one that only borrows it; and where the kernel does not wipe, we do. */
static void begin_anew(void)
{
	self_page->locked = 0;
	self_page->pid_space = 0;
	self_page->pid = 0;
	self_epoch();
}

bool self_start(void)
{
	struct self_page *none = NULL;

	if (self_page)
		return true;
	long map = sys(SYS_mmap, NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
	if (map < 0 && map > -4096)
		return false;
	/* Where that is refused, children of _Fork() and raw clone() take no part: to them all
	 * looks borrowed. */
	sys(SYS_madvise, map, 4096, MADV_WIPEONFORK);
	if (!atomic_compare_exchange_strong(&self_page, &none, (struct self_page *)map))
		sys(SYS_munmap, map, 4096);
	else
		pthread_atfork(NULL, NULL, begin_anew);
	self_epoch();
	return true;
}

void self_begin(void)
{
	int none = 0;

	if (atomic_compare_exchange_strong(&self_page->pid, &none, (int)sys(SYS_getpid)))
		atomic_fetch_add(&self_forks, 1);
}

int self_pid(void)
{
	self_epoch();
	return self_page->pid;
}

int self_tid_slowly(void)
{
	self_thread.tid = (int)sys(SYS_gettid);
	self_thread.epoch = self_epoch();
	return self_thread.tid;
}

uint32_t self_pid_space(int proc)
{
	self_epoch();
	if (!self_page->pid_space)
		self_page->pid_space = procfs_pid_space(proc);
	return self_page->pid_space;
}

bool self_is_borrowed(void)
{
	/* Before the start, in another library's constructor, nobody has forked in a way that
	 * matters.
	 */
	return self_page && self_pid() != (int)sys(SYS_getpid);
}

void self_block_signals(struct self_guard *guard)
{
	uint64_t all = ~UINT64_C(0);

	sys(SYS_rt_sigprocmask, SIG_BLOCK, &all, &guard->signals, sizeof(all));
}

void self_allow_signals(const struct self_guard *guard)
{
	sys(SYS_rt_sigprocmask, SIG_SETMASK, &guard->signals, NULL, sizeof(guard->signals));
}

void self_resume(void)
{
	const struct timespec briefly = {.tv_nsec = 50000};
	int free = 0;

	self_epoch();
	for (int tries = 0; !atomic_compare_exchange_weak(&self_page->locked, &free, 1); tries++) {
		free = 0;
		/* A real-time thread yields to nobody below it, and that may be who holds it. */
		if (tries < YIELDS)
			sys(SYS_sched_yield);
		else
			sys(SYS_nanosleep, &briefly, NULL);
	}
}

void self_pause(void)
{
	self_page->locked = 0;
}

void self_lock(struct self_guard *guard)
{
	self_block_signals(guard);
	self_resume();
}

bool self_trylock(struct self_guard *guard)
{
	int free = 0;

	self_epoch();
	if (self_page->locked)
		return false;
	self_block_signals(guard);
	if (atomic_compare_exchange_strong(&self_page->locked, &free, 1))
		return true;
	self_allow_signals(guard);
	return false;
}

void self_unlock(const struct self_guard *guard)
{
	self_pause();
	self_allow_signals(guard);
}
