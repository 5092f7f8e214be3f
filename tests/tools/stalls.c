/* stalls: how long the host keeps a CPU from who wants it. A thread on each CPU sleeps for a
 * hundredth of a second at a time, until SIGTERM or SIGINT; then the longest that one of them woke
 * up late is printed, in milliseconds. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <time.h>

#define NAP_NS 10000000

static _Atomic int64_t worst_ns;

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void *nap(void *argument)
{
	const struct timespec time = {.tv_nsec = NAP_NS};
	cpu_set_t own;

	CPU_ZERO(&own);
	CPU_SET((size_t)(intptr_t)argument, &own);
	pthread_setaffinity_np(pthread_self(), sizeof(own), &own);
	for (;;) {
		int64_t begun = now_ns();
		nanosleep(&time, NULL);
		int64_t late = now_ns() - begun - NAP_NS, worst = worst_ns;
		while (late > worst && !atomic_compare_exchange_weak(&worst_ns, &worst, late))
			;
	}
	return NULL;
}

int main(void)
{
	cpu_set_t cpus;
	sigset_t ends;
	int got;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	if (sched_getaffinity(0, sizeof(cpus), &cpus))
		return 1;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		pthread_t thread;
		if (CPU_ISSET(cpu, &cpus) &&
		    pthread_create(&thread, NULL, nap, (void *)(intptr_t)cpu))
			return 1;
	}
	sigwait(&ends, &got);
	printf("%d\n", (int)(worst_ns / 1000000));
	return 0;
}
