#include "shim/process/seats.h"
#include "shim/kernel/sys.h"
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>

#define SEATS_MAX 512

/* Its thread is on its way to or from it: held as long as the thread lives. */
#define UNSETTLED 0x80000000u

struct seat {
	_Atomic uint32_t thread; /* 0: free */
	_Atomic uint32_t cpu;
};

static struct seat *seats;

bool seats_start(void)
{
	long map = sys(SYS_mmap, NULL, SEATS_MAX * sizeof(struct seat), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (map < 0 && map > -4096)
		return false;
	seats = (struct seat *)map;
	return true;
}

static cpu_set_t only(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu % CPU_SETSIZE, &set);
	return set;
}

static bool is_held(const struct seat *seat, uint32_t thread)
{
	int tid = (int)(thread & ~UNSETTLED);
	cpu_set_t wanted = only(seat->cpu), mask;

	if (!thread)
		return false;
	if (thread & UNSETTLED)
		return sys(SYS_tkill, tid, 0) != -ESRCH;
	CPU_ZERO(&mask);
	return sys(SYS_sched_getaffinity, tid, sizeof(mask), &mask) > 0 &&
	       CPU_EQUAL(&mask, &wanted);
}

/* The k-th CPU of a set that has count of them, counted around. */
static unsigned cpu_at(const cpu_set_t *cpus, unsigned count, unsigned k)
{
	unsigned cpu = 0;

	for (k %= count; !CPU_ISSET(cpu, cpus) || k; cpu++)
		k -= !!CPU_ISSET(cpu, cpus);
	return cpu;
}

static int sit(struct seat *seat, int tid, unsigned cpu)
{
	cpu_set_t mask = only(cpu);

	seat->cpu = cpu;
	long ret = sys(SYS_sched_setaffinity, tid, sizeof(mask), &mask);
	seat->thread = ret < 0 ? 0 : (uint32_t)tid;
	return ret < 0 ? (int)ret : (int)cpu;
}

int seats_take(int tid, const cpu_set_t *cpus)
{
	unsigned count = (unsigned)CPU_COUNT(cpus);

	if (!seats || !count)
		return -ENODEV;
	for (unsigned k = 0; k < SEATS_MAX; k++) {
		uint32_t thread = seats[k].thread;
		if (!is_held(&seats[k], thread) &&
		    atomic_compare_exchange_strong(&seats[k].thread, &thread,
						   (uint32_t)tid | UNSETTLED))
			return sit(&seats[k], tid, cpu_at(cpus, count, k));
	}
	return -ENOSPC;
}

static struct seat *find(int tid)
{
	for (unsigned k = 0; seats && k < SEATS_MAX; k++) {
		uint32_t thread = seats[k].thread;
		if ((thread & ~UNSETTLED) == (uint32_t)tid && is_held(&seats[k], thread))
			return &seats[k];
	}
	return NULL;
}

int seats_cpu_of(int tid)
{
	const struct seat *seat = find(tid);

	return seat ? (int)(seat->cpu % CPU_SETSIZE) : -1;
}

static bool shares_cpu(const struct seat *seat)
{
	for (unsigned k = 0; k < SEATS_MAX; k++)
		if (&seats[k] != seat && seats[k].cpu == seat->cpu &&
		    is_held(&seats[k], seats[k].thread))
			return true;
	return false;
}

/* The last one to share its CPU moves up, or the CPU of who left would be short of a thread. */
static void fill(struct seat *gap)
{
	for (struct seat *last = &seats[SEATS_MAX - 1]; last > gap; last--) {
		uint32_t thread = last->thread, none = 0;
		if (thread & UNSETTLED || !is_held(last, thread) || !shares_cpu(last))
			continue;
		if (atomic_compare_exchange_strong(&gap->thread, &none, thread | UNSETTLED) &&
		    sit(gap, (int)thread, gap->cpu) >= 0)
			atomic_compare_exchange_strong(&last->thread, &thread, 0);
		return;
	}
}

void seats_leave(int tid, const cpu_set_t *affinity)
{
	struct seat *seat = find(tid);

	if (!seat)
		return;
	seat->thread = 0;
	sys(SYS_sched_setaffinity, tid, sizeof(*affinity), affinity);
	fill(seat);
}

void seats_away(int tid)
{
	struct seat *seat = find(tid);

	if (seat)
		seat->thread |= UNSETTLED;
}

void seats_back(int tid)
{
	struct seat *seat = find(tid);

	if (seat)
		seat->thread &= ~UNSETTLED;
}
