#include "shim/migrate/instance.h"
#include "shim/connect/home.h"
#include "shim/decide/steer_program.h"
#include "shim/kernel/clock.h"
#include "shim/kernel/sys.h"
#include "shim/process/machine.h"
#include "shim/process/runtime.h"
#include "shim/process/self.h"
#include <errno.h>
#include <poll.h>
#include <stddef.h>

/* Not seen for so long, with something to do: stuck. */
#define STUCK_MS 1000

#define RELIEVED (-1)

static struct instance instances[INSTANCES_MAX + 1]; /* number 0 is none */
static struct placement_worker workers[INSTANCES_MAX + 1];
static _Atomic unsigned end; /* one past the highest number in use so far */

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
		unsigned before = end;
		if (!atomic_compare_exchange_strong(&instance->epoch, &none, epoch))
			continue;
		while (before <= i && !atomic_compare_exchange_weak(&end, &before, i + 1))
			;
		instance->epfd = epfd;
		instance->numbers = 1;
		instance->tid = 0;
		instance->closed = instance->serves = false;
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

void instance_close(unsigned number)
{
	struct instance *instance = &instances[number];
	int looks = 0;

	placement_leave(&workers[number]);
	/* Either its thread sees this before it moves the next, or we see that it moves. */
	instance->closed = true;
	while ((instance->moving && instance->tid != self_tid()) || instance->tid == RELIEVED)
		if (!place_wait(&looks))
			break;
}

static bool has_ended(int tid)
{
	return sys(SYS_tgkill, self_pid(), tid, 0) == -ESRCH;
}

bool instance_begin(unsigned number, uint64_t now_ms)
{
	struct instance *instance = &instances[number];
	int tid = self_tid(), looks = 0, before;

	if (!instance_is_open(number))
		return false;
	if (instance->came_ms != now_ms)
		instance->came_ms = now_ms;
	while ((before = instance->tid) == RELIEVED && place_wait(&looks))
		;
	if (before == tid)
		return true;
	if ((!before || has_ended(before)) &&
	    atomic_compare_exchange_strong(&instance->tid, &before, tid)) {
		instance->next_home_ms = 0;
		instance->suspects = 0;
		return true;
	}
	instance_close(number);
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

	if (!instances[number].serves || self_is_borrowed() || !runtime_nics())
		return;
	self_lock(&guard);
	machine_follow(now_ms, true);
	unsigned count = nic_spreading(machine_nics(), ifindex, STEER_NICS_MAX, &arrivals);
	for (unsigned i = 0; i < count; i++)
		ingress[i] = ifindex[i];
	ingress_count = count;
	self_unlock(&guard);
	placement_set_home(&workers[number], &home_of_thread(now_ms)->cpus, &arrivals);
}

static bool has_events(int epfd)
{
	struct pollfd poll = {.fd = epfd, .events = POLLIN};
	struct timespec none = {0};

	return sys(SYS_ppoll, &poll, 1, &none, NULL, 0) == 1;
}

static bool comes_around(const struct instance *instance)
{
	int tid = instance->tid;

	if (tid == self_tid())
		return true;
	return tid > 0 && !has_ended(tid) &&
	       (instance->came_ms + STUCK_MS > clock_ms() || !has_events(instance->epfd));
}

unsigned instance_of_cpu(int cpu)
{
	int number;

	while ((number = placement_choose(workers, end, cpu)) > 0) {
		if (instance_is_open((unsigned)number) && comes_around(&instances[number]))
			return (unsigned)number;
		/* Until it comes around again. */
		placement_leave(&workers[number]);
	}
	return 0;
}

bool instance_is_spread(int ifindex)
{
	for (unsigned i = 0; ifindex > 0 && i < ingress_count; i++)
		if (ingress[i] == (uint32_t)ifindex)
			return true;
	return false;
}

unsigned instance_find_orphan(unsigned after)
{
	for (unsigned number = after + 1; number < end; number++) {
		struct instance *instance = &instances[number];
		int tid = instance->tid;
		if (tid <= 0 || !instance_is_open(number) || !has_ended(tid) ||
		    !atomic_compare_exchange_strong(&instance->tid, &tid, RELIEVED))
			continue;
		placement_leave(&workers[number]);
		if (!instance->closed)
			return number;
		instance_release(number);
	}
	return 0;
}

void instance_release(unsigned number)
{
	int relieved = RELIEVED;

	atomic_compare_exchange_strong(&instances[number].tid, &relieved, 0);
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

	for (unsigned i = 1; i < end; i++) {
		if (instances[i].epoch != self_epoch() || instances[i].closed)
			continue;
		any |= placement_takes_part(&workers[i]);
		instance_close(i);
	}
	return any;
}
