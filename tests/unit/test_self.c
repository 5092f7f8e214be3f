/* Which process this is must be right after every kind of fork, and the lock must hold against
 * threads, handlers and forks. */
#include "shim/process/self.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(self, .timeout = 30);

/* In the child: everything is its own. Returns what is wrong as an exit status. */
static int child_is_itself(uint32_t parents_epoch)
{
	if (self_pid() != getpid())
		return 2;
	if (self_tid() != (int)syscall(SYS_gettid))
		return 3;
	if (self_epoch() == parents_epoch)
		return 4;
	if (self_is_borrowed())
		return 5;
	return 0;
}

static int status_of(pid_t pid)
{
	int status = -1;

	cr_assert_gt(pid, 0);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
}

static pid_t raw_fork(void)
{
	return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static void check_fork(pid_t (*make)(void))
{
	uint32_t epoch;

	cr_assert(self_start());
	epoch = self_epoch();
	cr_assert_eq(self_pid(), getpid());
	cr_assert_eq(self_tid(), gettid());
	pid_t pid = make();
	if (!pid)
		_exit(child_is_itself(epoch));
	cr_expect_eq(status_of(pid), 0);
	cr_expect_eq(self_epoch(), epoch, "the parent's stays");
	cr_expect_eq(self_pid(), getpid());
}

Test(self, after_fork)
{
	check_fork(fork);
}

Test(self, another_pid_space)
{
	int proc = open("/proc", O_PATH | O_DIRECTORY);
	int inner[2];
	uint32_t ours, theirs = 0;

	cr_assert(self_start());
	ours = self_pid_space(proc);
	cr_assert_neq(ours, 0);
	cr_assert_eq(pipe(inner), 0);
	pid_t pid = fork();
	if (!pid) {
		theirs = self_pid_space(proc);
		_exit(theirs == ours ? 0 : 1);
	}
	cr_expect_eq(status_of(pid), 0, "a child's is its parent's");
	pid = fork();
	if (!pid) {
		/* Not this process, its children are in the new one. */
		if (unshare(CLONE_NEWPID))
			_exit(errno == EPERM ? 77 : 1);
		if (self_pid_space(proc) != ours)
			_exit(2);
		pid = fork();
		if (!pid) {
			theirs = self_pid_space(proc);
			_exit(write(inner[1], &theirs, sizeof(theirs)) != sizeof(theirs));
		}
		_exit(status_of(pid));
	}
	int status = status_of(pid);
	if (status == 77)
		cr_skip("may not make a name space");
	cr_expect_eq(status, 0);
	cr_assert_eq(read(inner[0], &theirs, sizeof(theirs)), (ssize_t)sizeof(theirs));
	cr_expect_neq(theirs, 0);
	cr_expect_neq(theirs, ours);
	cr_expect_eq(self_pid_space(-1), ours, "asked for once");
}

Test(self, lock_that_is_taken_or_lent)
{
	struct self_guard guard, other;
	sigset_t blocked;

	self_start();
	self_lock(&guard);
	cr_expect_not(self_trylock(&other));
	self_pause();
	cr_assert(self_trylock(&other));
	self_unlock(&other);
	sigprocmask(SIG_BLOCK, NULL, &blocked);
	cr_expect(sigismember(&blocked, SIGUSR1), "while it is lent, too");
	self_resume();
	cr_expect_not(self_trylock(&other));
	self_unlock(&guard);
	sigprocmask(SIG_BLOCK, NULL, &blocked);
	cr_expect_not(sigismember(&blocked, SIGUSR1));
}

Test(self, after_fork_without_hooks)
{
	check_fork(_Fork);
}

Test(self, after_a_raw_fork)
{
	check_fork(raw_fork);
}

Test(self, generations)
{
	uint32_t epoch;

	self_start();
	epoch = self_epoch();
	pid_t pid = fork();
	if (!pid) {
		int wrong = child_is_itself(epoch);
		epoch = self_epoch();
		pid = fork();
		if (!pid)
			_exit(child_is_itself(epoch));
		_exit(wrong ? wrong : status_of(pid));
	}
	cr_expect_eq(status_of(pid), 0);
}

/* It runs in its parent's memory: to be recognised, and to change nothing. */
Test(self, in_a_vfork_child)
{
	static volatile int borrowed = -1, pid_seen, pid_before;
	static uint32_t epoch;

	self_start();
	epoch = self_epoch();
	pid_before = self_pid();
	pid_t pid = vfork();
	if (!pid) {
		borrowed = self_is_borrowed();
		pid_seen = self_pid();
		_exit(0);
	}
	status_of(pid);
	cr_expect_eq(borrowed, 1);
	cr_expect_eq(pid_seen, pid_before);
	cr_expect_eq(self_epoch(), epoch);
	cr_expect_not(self_is_borrowed());
	/* One that forked before: the same of the child's. */
	cr_expect_eq(self_pid(), getpid());
}

/* Before the forked process has done anything that concerns us, its vfork child does. */
Test(self, in_a_vfork_child_of_a_fresh_child)
{
	static volatile int borrowed;

	self_start();
	pid_t pid = fork();
	if (!pid) {
		pid = vfork();
		if (!pid) {
			borrowed = self_is_borrowed();
			_exit(0);
		}
		status_of(pid);
		_exit(!borrowed ? 2 : self_pid() != getpid() ? 3 : self_is_borrowed());
	}
	cr_expect_eq(status_of(pid), 0);
}

Test(self, again_is_harmless)
{
	cr_assert(self_start());
	uint32_t epoch = self_epoch();
	cr_expect(self_start());
	cr_expect_eq(self_epoch(), epoch);
}

static void *own_tid(void *unused)
{
	(void)unused;
	cr_expect_eq(self_tid(), gettid());
	cr_expect_eq(self_pid(), getpid());
	return NULL;
}

Test(self, threads_have_their_own)
{
	pthread_t thread;

	self_start();
	self_tid();
	pthread_create(&thread, NULL, own_tid, NULL);
	pthread_join(thread, NULL);
	cr_expect_eq(self_tid(), gettid());
}

/* --- the lock ------------------------------------------------------------------------------------
 */

static volatile int inside, most, counted;

static void *lock_often(void *unused)
{
	struct self_guard guard;

	(void)unused;
	for (int i = 0; i < 20000; i++) {
		self_lock(&guard);
		if (++inside > most)
			most = inside;
		counted++;
		inside--;
		self_unlock(&guard);
	}
	return NULL;
}

Test(self, one_thread_at_a_time)
{
	pthread_t threads[3];

	self_start();
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, lock_often, NULL);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	cr_expect_eq(most, 1);
	cr_expect_eq(counted, 60000);
}

static volatile int handled;

static void lock_in_handler(int signal)
{
	struct self_guard guard;

	(void)signal;
	self_lock(&guard);
	handled++;
	self_unlock(&guard);
}

Test(self, handlers_wait)
{
	struct sigaction action = {.sa_handler = lock_in_handler};
	struct self_guard guard;
	sigset_t before, after, some;

	self_start();
	sigaction(SIGUSR1, &action, NULL);
	sigemptyset(&some);
	sigaddset(&some, SIGWINCH);
	sigprocmask(SIG_SETMASK, &some, NULL);
	sigprocmask(SIG_SETMASK, NULL, &before);
	self_lock(&guard);
	raise(SIGUSR1);
	cr_expect_eq(handled, 0, "a handler would find its own thread inside");
	self_unlock(&guard);
	cr_expect_eq(handled, 1);
	sigprocmask(SIG_SETMASK, NULL, &after);
	cr_expect_eq(memcmp(&before, &after, 8), 0, "the mask is as it was");
}

static void *hold(void *reached)
{
	struct self_guard guard;

	self_lock(&guard);
	*(volatile int *)reached = 1;
	pause();
	return NULL;
}

/* Another thread of the parent holds it for ever. */
Test(self, a_child_finds_it_free)
{
	static volatile int held;
	struct self_guard guard;
	pthread_t thread;
	pid_t (*const ways[])(void) = {fork, _Fork, raw_fork};

	self_start();
	pthread_create(&thread, NULL, hold, (void *)&held);
	while (!held)
		usleep(100);
	for (int i = 0; i < 3; i++) {
		pid_t pid = ways[i]();
		if (!pid) {
			alarm(5);
			self_lock(&guard);
			self_unlock(&guard);
			_exit(0);
		}
		cr_expect_eq(status_of(pid), 0, "way %d", i);
	}
}
