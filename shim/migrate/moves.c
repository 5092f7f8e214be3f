#include "shim/migrate/moves.h"
#include "shim/kernel/socket.h"
#include "shim/kernel/sys.h"
#include "shim/process/self.h"
#include "shim/stat/stat.h"
#include <errno.h>
#include <signal.h>
#include <stddef.h>

#define HOME_MS 200
/* A thread that has no home yet: it may be about to be pinned, or the first socket to be seen. */
#define HOMELESS_MS 20
#define SWEEP_MS    10
/* A sweep looks at so many words, and asks the kernel about so many connections. Once one of them
 * has moved, others will: after `ethtool -X` half of all. So the thread looks harder (some 120 us
 * in 10 ms) until it has been through all without another. */
#define SWEEP_ASKS          16
#define SWEEP_ASKS_AT_MOST  INSTANCE_SUSPECTS
#define SWEEP_WORDS_PER_ASK 32
#define NOTED_MAX           64

/* What a look at a descriptor found. */
enum look {
	LOOK_NOTHING, /* to be looked at here */
	LOOK_WELL,    /* stays where it is */
	LOOK_AWAY,    /* its packets are elsewhere; to be looked at again */
	LOOK_MOVED,
};

control_fn moves_control;

static __thread struct {
	unsigned count;
	int fd[NOTED_MAX];
} noted;

void moves_note(int fd)
{
	if (noted.count < NOTED_MAX)
		noted.fd[noted.count++] = fd;
}

/* Asked once a connection, and only of those that would move. */
static bool may_move(int fd, int32_t *ingress)
{
	if (!*ingress)
		*ingress = (int32_t)socket_interface(fd);
	if (!*ingress)
		*ingress = -1;
	return instance_is_spread(*ingress);
}

unsigned moves_target(int fd, unsigned number)
{
	int32_t ingress = 0;
	int cpu, tid = instance_at(number)->tid;

	if (!instance_is_open(number) || !tid || tid == self_tid() || stat_is_off() ||
	    !placement_takes_part(instance_worker(number)))
		return number;
	cpu = socket_incoming_cpu(fd);
	if (placement_is_home(instance_worker(number), cpu))
		return number;
	unsigned target = may_move(fd, &ingress) ? instance_of_cpu(cpu) : 0;
	return target ? target : number;
}

struct place moves_transfer(int fd, struct place place, unsigned to)
{
	const struct place_registration *reg = place_registration(fd);
	struct epoll_event event = {.events = reg->events, .data.u64 = reg->data};
	unsigned from = place.now;
	uint64_t all = ~UINT64_C(0), signals;
	int before = errno;

	/* A handler that closes the descriptor half-way would leave its number to others. */
	sys(SYS_rt_sigprocmask, SIG_BLOCK, &all, &signals, sizeof(all));
	int ret = moves_control(instance_at(from)->epfd, EPOLL_CTL_MOD, fd, &event);
	if (ret && (errno == ENOENT || errno == EBADF)) {
		atomic_fetch_sub(&instance_worker(from)->held, 1);
		place = (struct place){.state = PLACE_NONE};
	} else if (!ret && !moves_control(instance_at(to)->epfd, EPOLL_CTL_ADD, fd, &event)) {
		atomic_fetch_sub(&instance_worker(from)->held, 1);
		place.now = (uint8_t)to;
		if (!moves_control(instance_at(from)->epfd, EPOLL_CTL_DEL, fd, &event)) {
			atomic_fetch_add(&instance_worker(to)->held, 1);
			stat_count(STAT_MIGRATE_MOVED);
		} else {
			moves_control(instance_at(to)->epfd, EPOLL_CTL_DEL, fd, &event);
			place = (struct place){.state = PLACE_NONE};
		}
	}
	sys(SYS_rt_sigprocmask, SIG_SETMASK, &signals, NULL, sizeof(signals));
	errno = before;
	return place;
}

/* The word of fd is taken by this thread, which waits on the instance that fd is in. */
static enum look place_well(int fd, struct place *place, bool just_noted)
{
	struct place_registration *reg = place_registration(fd);
	unsigned number = place->now;

	if (reg->events & EPOLLONESHOT && !just_noted)
		return LOOK_NOTHING;
	int cpu = just_noted && reg->is_new ? placement_seen(reg->seen) : socket_incoming_cpu(fd);
	bool is_home = placement_is_home(instance_worker(number), cpu);
	bool is_lasting = placement_is_lasting(&reg->seen, cpu, is_home);
	reg->is_new = false;
	unsigned to = !is_home && may_move(fd, &reg->ingress) ? instance_of_cpu(cpu) : 0;
	if (!to)
		return LOOK_WELL;
	if (!is_lasting)
		return LOOK_AWAY;
	*place = moves_transfer(fd, *place, to);
	return place->now == number ? LOOK_WELL : LOOK_MOVED;
}

static enum look consider(int fd, unsigned number, bool just_noted)
{
	struct place place = place_get(fd);
	enum look look = LOOK_NOTHING;

	if (place.state != PLACE_MOVES || place.now != number || !place_try(fd, &place))
		return look;
	if (place.state == PLACE_MOVES && place.now == number)
		look = place_well(fd, &place, just_noted);
	place_give(fd, place);
	return look;
}

static enum look suspect_or_move(int fd, unsigned number)
{
	struct instance *instance = instance_at(number);
	enum look look = consider(fd, number, false);

	if (look == LOOK_AWAY && instance->suspects < INSTANCE_SUSPECTS)
		instance->suspect[instance->suspects++] = fd;
	if (look == LOOK_MOVED)
		instance->hot = place_end();
	return look;
}

/* What was found away at the last sweep, and some that come next. */
static void sweep(unsigned number)
{
	struct instance *instance = instance_at(number);
	int suspects = instance->suspects, end = place_end(), asks = 0, words = 0;

	instance->suspects = 0;
	for (int i = 0; i < suspects; i++)
		suspect_or_move(instance->suspect[i], number);
	int asks_max = instance->hot ? SWEEP_ASKS_AT_MOST : SWEEP_ASKS;
	while (words < end && words < asks_max * SWEEP_WORDS_PER_ASK && asks < asks_max) {
		if (instance->cursor >= end)
			instance->cursor = 0;
		asks += suspect_or_move(instance->cursor++, number) != LOOK_NOTHING;
		words++;
	}
	instance->hot = instance->hot > words ? instance->hot - words : 0;
}

/* Each of those registrations, its word taken. What is being moved or added at this moment may be
 * one of them, too. */
static void for_each_registration(struct place (*change)(int fd, struct place place,
							 unsigned number),
				  unsigned number)
{
	for (int fd = 0; fd < place_end(); fd++) {
		struct place place = place_get(fd);
		if ((place.origin != number && place.now != number && !place.holder) ||
		    place.state == PLACE_INSTANCE || !place_take(fd, &place))
			continue;
		if (place.state == PLACE_MOVES || place.state == PLACE_STAYS)
			place = change(fd, place, number);
		else if (place.state == PLACE_TIED && place.now == number)
			place.now = 0;
		place_give(fd, place);
	}
}

static struct place send_home(int fd, struct place place, unsigned number)
{
	return place.now == number && place.origin != number
		       ? moves_transfer(fd, place, place.origin)
		       : place;
}

static struct place take_apart(int fd, struct place place, unsigned number)
{
	place = send_home(fd, place, number);
	if (place.origin != number)
		return place;
	if (place.now != number)
		sys(SYS_epoll_ctl, instance_at(place.now)->epfd, EPOLL_CTL_DEL, fd, NULL);
	atomic_fetch_sub(&instance_worker(place.now)->held, 1);
	return (struct place){.state = PLACE_NONE};
}

void moves_dissolve(unsigned number)
{
	/* Whoever takes a word from here on does not move it to this instance; whoever did before
	 * is waited for. */
	instance_close(number);
	for_each_registration(take_apart, number);
}

/* A worker may end and leave its instance open: what the application registered there is lost
 * without us, too, but what we brought there is not. One worker looks, for all. */
static void relieve_orphans(uint64_t now_ms)
{
	static _Atomic uint64_t next_ms;
	uint64_t due = next_ms;
	unsigned number = 0;

	if (now_ms < due || !atomic_compare_exchange_strong(&next_ms, &due, now_ms + HOME_MS))
		return;
	while ((number = instance_find_orphan(number))) {
		for_each_registration(send_home, number);
		instance_release(number);
	}
}

void moves_make(unsigned number, uint64_t now_ms)
{
	struct instance *instance = instance_at(number);
	unsigned count = noted.count;

	if (now_ms >= instance->next_home_ms) {
		instance_follow_home(number, now_ms);
		instance->next_home_ms =
			now_ms +
			(placement_takes_part(instance_worker(number)) ? HOME_MS : HOMELESS_MS);
		relieve_orphans(now_ms);
	}
	if (!count && now_ms < instance->next_sweep_ms)
		return;
	noted.count = 0;
	if (stat_is_off() || !placement_takes_part(instance_worker(number)) ||
	    !instance_begin_moving(number))
		return;
	for (unsigned i = 0; i < count; i++)
		consider(noted.fd[i], number, true);
	if (now_ms >= instance->next_sweep_ms) {
		instance->next_sweep_ms = now_ms + SWEEP_MS;
		sweep(number);
	}
	instance_end_moving(number);
}
