#include "shim/migrate/instance.h"
#include "shim/connect/home.h"
#include "shim/decide/steer_program.h"
#include "shim/kernel/sys.h"
#include "shim/process/machine.h"
#include "shim/process/runtime.h"
#include "shim/process/self.h"
#include <errno.h>
#include <stddef.h>

static struct instance instances[INSTANCES_MAX + 1]; /* number 0 is none */
static struct placement_worker workers[INSTANCES_MAX + 1];

/* The same for all; written under self_lock(). */
static _Atomic uint32_t ingress_count, ingress[STEER_NICS_MAX];

struct instance *instance_at(unsigned number)
{
	return &instances[number];
}

struct placement_worker *instance_worker(unsigned number)
{
	return &workers[number];
}

unsigned instance_of(int epfd)
{
	struct place place = place_get(epfd);

	return place.state == PLACE_INSTANCE ? place.now : 0;
}

static unsigned take_free(int epfd)
{
	uint32_t epoch = self_epoch();

	for (unsigned i = 1; i <= INSTANCES_MAX; i++) {
		struct instance *instance = &instances[i];
		uint32_t none = 0;
		if (!atomic_compare_exchange_strong(&instance->epoch, &none, epoch))
			continue;
		instance->epfd = epfd;
		instance->numbers = 1;
		instance->tid = 0;
		instance->closed = false;
		instance->next_home_ms = instance->next_sweep_ms = 0;
		instance->cursor = instance->hot = instance->suspects = 0;
		placement_leave(&workers[i]);
		workers[i].held = 0;
		return i;
	}
	return 0;
}

unsigned instance_enter(int epfd)
{
	unsigned number = instance_of(epfd);
	struct place place;

	if (number || !place_take(epfd, &place))
		return number;
	if (place.state != PLACE_NONE) { /* another thread was first; or it is no instance */
		place_give(epfd, place);
		return place.state == PLACE_INSTANCE ? place.now : 0;
	}
	number = take_free(epfd);
	if (number)
		place = (struct place){.state = PLACE_INSTANCE, .now = (uint8_t)number};
	place_give(epfd, place);
	return number;
}

bool instance_is_open(unsigned number)
{
	const struct instance *instance = &instances[number % (INSTANCES_MAX + 1)];

	return number && instance->epoch == self_epoch() && !instance->closed;
}

static void close_to_moves(unsigned number)
{
	placement_leave(&workers[number]);
	/* Either its thread sees this before it moves the next, or we see that it moves. */
	instances[number].closed = true;
	while (instances[number].moving && instances[number].tid != self_tid())
		sys(SYS_sched_yield);
}

static bool has_ended(int tid)
{
	return sys(SYS_tgkill, self_pid(), tid, 0) == -ESRCH;
}

bool instance_begin(unsigned number)
{
	struct instance *instance = &instances[number];
	int tid = self_tid(), before = instance->tid;

	if (!instance_is_open(number))
		return false;
	if (before == tid)
		return true;
	if ((!before || has_ended(before)) &&
	    atomic_compare_exchange_strong(&instance->tid, &before, tid)) {
		instance->next_home_ms = 0;
		return true;
	}
	close_to_moves(number);
	return false;
}

bool instance_begin_moving(unsigned number)
{
	struct instance *instance = &instances[number];

	instance->moving = true;
	if (!instance->closed)
		return true;
	instance->moving = false;
	return false;
}

void instance_end_moving(unsigned number)
{
	instances[number].moving = false;
}

void instance_follow_home(unsigned number, uint64_t now_ms)
{
	uint32_t ifindex[STEER_NICS_MAX];
	struct self_guard guard;
	cpu_set_t arrivals;

	if (self_is_borrowed() || !runtime_nics())
		return;
	self_lock(&guard);
	machine_follow(now_ms);
	unsigned count = nic_spreading(machine_nics(), ifindex, STEER_NICS_MAX, &arrivals);
	for (unsigned i = 0; i < count; i++)
		ingress[i] = ifindex[i];
	ingress_count = count;
	self_unlock(&guard);
	placement_set_home(&workers[number], &home_of_thread(now_ms)->cpus, &arrivals);
}

unsigned instance_of_cpu(int cpu)
{
	int number = placement_choose(workers, INSTANCES_MAX + 1, cpu);

	return number > 0 && instance_is_open((unsigned)number) ? (unsigned)number : 0;
}

bool instance_is_spread(int ifindex)
{
	for (unsigned i = 0; ifindex > 0 && i < ingress_count; i++)
		if (ingress[i] == (uint32_t)ifindex)
			return true;
	return false;
}

unsigned instance_find_orphan(void)
{
	static _Atomic unsigned turn;
	unsigned number = atomic_fetch_add(&turn, 1) % INSTANCES_MAX + 1;
	struct instance *instance = &instances[number];
	int tid = instance->tid;

	if (!instance_is_open(number) || !tid || !has_ended(tid))
		return 0;
	instance->moving = true;
	/* Who comes to wait on it now closes it to moves, and waits until we are done. */
	if (atomic_compare_exchange_strong(&instance->tid, &tid, self_tid())) {
		placement_leave(&workers[number]);
		return number;
	}
	instance->moving = false;
	return 0;
}

void instance_release(unsigned number)
{
	instances[number].tid = 0;
	instances[number].moving = false;
}

static int another_number(unsigned number, int but)
{
	for (int fd = 0; fd < place_end(); fd++)
		if (fd != but && instance_of(fd) == number)
			return fd;
	return -1;
}

bool instance_lose_number(unsigned number, int fd)
{
	struct instance *instance = &instances[number];

	if (atomic_fetch_sub(&instance->numbers, 1) == 1)
		return true;
	if (instance->epfd == fd)
		instance->epfd = another_number(number, fd);
	return false;
}

void instance_end(unsigned number)
{
	placement_leave(&workers[number]);
	instances[number].epfd = -1;
	instances[number].tid = 0;
	instances[number].epoch = 0;
}

bool instance_close_all(void)
{
	bool any = false;

	for (unsigned i = 1; i <= INSTANCES_MAX; i++) {
		if (instances[i].epoch != self_epoch() || instances[i].closed)
			continue;
		any |= placement_takes_part(&workers[i]);
		close_to_moves(i);
	}
	return any;
}
