#include "shim/process/pinning.h"
#include "shim/kernel/log.h"
#include "shim/kernel/sys.h"
#include "shim/process/hot.h"
#include "shim/process/machine.h"
#include "shim/process/runtime.h"
#include "shim/process/seats.h"
#include <errno.h>
#include <pthread.h>
#include <stddef.h>

/* Threads that wait in a process before one of them has a listener. */
#define WAITING_MAX 256

HOT_DATA bool pinning_is_on;
__thread struct pinning_here pinning_here;

static cpu_set_t inherited;

/* Of this process, under self_lock(). */
static struct {
	uint32_t epoch;
	bool serves;
	unsigned count;
	int tid[WAITING_MAX]; /* in the order of their first wait, yet to be pinned */
} process;

static __thread int before_fork = -1;

static void prepare_fork(void)
{
	before_fork = pinning_lift();
}

static void return_from_fork(void)
{
	pinning_restore(before_fork);
}

void pinning_start(void)
{
	if (!runtime_on() || runtime_policy()->threads_pin.kind == CPUS_OFF || !seats_start())
		return;
	CPU_ZERO(&inherited);
	sys(SYS_sched_getaffinity, 0, sizeof(inherited), &inherited);
	/* One CPU leaves nothing to choose, and could not be told from our own doing. */
	pinning_is_on =
		CPU_COUNT(&inherited) > 1 && !pthread_atfork(prepare_fork, return_from_fork, NULL);
}

/* The CPUs to be had: empty before the machine was looked at. */
static cpu_set_t choice(void)
{
	const struct policy_cpus *policy = &runtime_policy()->threads_pin;
	uint32_t ifindex[NIC_MAX];
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	if (policy->kind == CPUS_LIST)
		cpus = policy->set;
	else
		nic_spreading(machine_nics(), ifindex, NIC_MAX, &cpus);
	CPU_AND(&cpus, &cpus, &inherited);
	return cpus;
}

static void pin(int tid, const cpu_set_t *cpus)
{
	cpu_set_t mask;

	CPU_ZERO(&mask);
	/* It may have ended since, and the number be a thread's of another process. */
	if (sys(SYS_tgkill, self_pid(), tid, 0) == -ESRCH ||
	    sys(SYS_sched_getaffinity, tid, sizeof(mask), &mask) < 0 ||
	    !CPU_EQUAL(&mask, &inherited))
		return;
	int cpu = seats_take(tid, cpus);
	if (cpu >= 0)
		log_info("thread %d is pinned to CPU %d", tid, cpu);
	else
		log_once(LOG_LEVEL_WARN, "thread %d cannot be pinned (error %d)", tid, -cpu);
}

static void pin_waiting(void)
{
	cpu_set_t cpus = choice();

	for (unsigned i = 0; CPU_COUNT(&cpus) && i < process.count; i++)
		pin(process.tid[i], &cpus);
	process.count = 0;
}

void pinning_meet(bool serves)
{
	struct self_guard guard;
	bool is_new;

	if (self_is_borrowed())
		return;
	self_lock(&guard);
	is_new = pinning_here.epoch != self_epoch();
	pinning_here = (struct pinning_here){.epoch = self_epoch(), .serves = serves};
	if (process.epoch != self_epoch()) {
		process.epoch = self_epoch();
		process.serves = false;
		process.count = 0;
	}
	if (is_new && process.count < WAITING_MAX)
		process.tid[process.count++] = self_tid();
	process.serves |= serves;
	if (process.serves)
		pin_waiting();
	self_unlock(&guard);
}

void pinning_release(void)
{
	struct self_guard guard;

	if (!pinning_is_on)
		return;
	self_lock(&guard);
	seats_leave(self_tid(), &inherited);
	self_unlock(&guard);
}

int pinning_lift(void)
{
	int cpu = pinning_is_on ? seats_cpu_of(self_tid()) : -1;

	if (cpu < 0)
		return -1;
	/* A vfork child is another thread than its memory says, and need not go back. */
	bool is_child = self_is_borrowed();
	if (!is_child)
		seats_away(self_tid());
	sys(SYS_sched_setaffinity, 0, sizeof(inherited), &inherited);
	return is_child ? -1 : cpu;
}

void pinning_restore(int cpu)
{
	cpu_set_t mask;

	if (cpu < 0)
		return;
	CPU_ZERO(&mask);
	CPU_SET((unsigned)cpu, &mask);
	sys(SYS_sched_setaffinity, 0, sizeof(mask), &mask);
	seats_back(self_tid());
}
