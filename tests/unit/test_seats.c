/* Which CPU each thread gets, by the affinity the kernel reports. */
#include "shim/process/seats.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 5

static _Atomic int tid[THREADS];
static pthread_t thread[THREADS];
static cpu_set_t all, two;
static int cpu[2]; /* the two CPUs used */

static void *wait_for_end(void *at)
{
	*(_Atomic int *)at = gettid();
	while (pause())
		;
	return at;
}

static void start(void)
{
	int found = 0;

	sched_getaffinity(0, sizeof(all), &all);
	if (CPU_COUNT(&all) < 2)
		cr_skip("needs two CPUs");
	CPU_ZERO(&two);
	for (int c = 0; found < 2; c++) {
		if (!CPU_ISSET(c, &all))
			continue;
		CPU_SET(c, &two);
		cpu[found++] = c;
	}
	cr_assert(seats_start());
	for (int i = 0; i < THREADS; i++) {
		cr_assert_not(pthread_create(&thread[i], NULL, wait_for_end, &tid[i]));
		while (!tid[i])
			usleep(100);
	}
}

TestSuite(seats, .init = start, .timeout = 30);

/* The CPU a thread is pinned to, -1: more than one. */
static int pinned(int i)
{
	cpu_set_t mask;

	sched_getaffinity(tid[i], sizeof(mask), &mask);
	for (int n = 0; n < 2; n++)
		if (CPU_COUNT(&mask) == 1 && CPU_ISSET(cpu[n], &mask))
			return cpu[n];
	return -1;
}

static void end(int i)
{
	pthread_cancel(thread[i]);
	pthread_join(thread[i], NULL);
	/* The kernel lets the joining thread go a moment before it forgets the other. */
	for (int ms = 0; ms < 5000 && !syscall(SYS_tgkill, getpid(), tid[i], 0); ms++)
		usleep(1000);
}

Test(seats, one_a_cpu_in_order_and_around_again)
{
	for (int i = 0; i < THREADS; i++) {
		cr_assert_eq(seats_take(tid[i], &two), cpu[i % 2]);
		cr_assert_eq(pinned(i), cpu[i % 2]);
		cr_assert_eq(seats_cpu_of(tid[i]), cpu[i % 2]);
	}
}

Test(seats, no_cpu_no_seat)
{
	cpu_set_t none;

	CPU_ZERO(&none);
	cr_assert_eq(seats_take(tid[0], &none), -ENODEV);
	cr_assert_eq(pinned(0), -1);
}

Test(seats, the_next_thread_gets_the_cpu_of_one_that_ended)
{
	for (int i = 0; i < 4; i++)
		seats_take(tid[i], &two);
	end(1);
	cr_assert_eq(seats_take(tid[4], &two), cpu[1]);
}

Test(seats, who_pins_itself_elsewhere_has_no_seat)
{
	seats_take(tid[0], &two);
	sched_setaffinity(tid[0], sizeof(all), &all);
	cr_assert_eq(seats_cpu_of(tid[0]), -1);
	cr_assert_eq(seats_take(tid[1], &two), cpu[0]);
}

Test(seats, away_for_a_while_is_not_gone)
{
	seats_take(tid[0], &two);
	seats_away(tid[0]);
	sched_setaffinity(tid[0], sizeof(all), &all);
	cr_assert_eq(seats_take(tid[1], &two), cpu[1]);
	cr_assert_eq(seats_cpu_of(tid[0]), cpu[0]);
	/* Back, it holds the seat by its affinity again, and loses it with that. */
	seats_back(tid[0]);
	cr_assert_eq(seats_cpu_of(tid[0]), -1);
}

Test(seats, who_leaves_is_free_again)
{
	seats_take(tid[0], &two);
	seats_leave(tid[0], &all);
	cr_assert_eq(pinned(0), -1);
	cr_assert_eq(seats_take(tid[1], &two), cpu[0]);
}

/* CPUs 0 1 0 for threads 0 1 2: thread 1 leaves, and 2 must not stay beside 0. */
Test(seats, the_last_that_shares_its_cpu_moves_up)
{
	for (int i = 0; i < 3; i++)
		seats_take(tid[i], &two);
	seats_leave(tid[1], &all);
	cr_assert_eq(pinned(0), cpu[0]);
	cr_assert_eq(pinned(1), -1);
	cr_assert_eq(pinned(2), cpu[1]);
	cr_assert_eq(seats_cpu_of(tid[2]), cpu[1]);
	cr_assert_eq(seats_take(tid[3], &two), cpu[0]);
}

Test(seats, who_has_a_cpu_alone_stays_there)
{
	seats_take(tid[0], &two);
	seats_take(tid[1], &two);
	seats_leave(tid[0], &all);
	cr_assert_eq(pinned(1), cpu[1]);
}

Test(seats, forked_processes_share_them)
{
	pid_t child = fork();
	int status;

	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		seats_take(getpid(), &two);
		pause();
	}
	while (seats_cpu_of(child) < 0)
		usleep(100);
	cr_assert_eq(seats_take(tid[0], &two), cpu[1]);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	cr_assert_eq(seats_take(tid[1], &two), cpu[0]);
}
