#include "shim/migrate/migrate.h"
#include "shim/group/listener.h"
#include "shim/kernel/clock.h"
#include "shim/kernel/log.h"
#include "shim/kernel/socket.h"
#include "shim/kernel/sys.h"
#include "shim/migrate/moves.h"
#include "shim/process/fd_table.h"
#include "shim/process/hot.h"
#include "shim/process/runtime.h"
#include "shim/process/self.h"
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stddef.h>

/* A connection that is armed anew with EPOLLONESHOT is looked at once in so many times. */
#define ARMED_PER_LOOK 4

HOT_DATA bool migrate_is_on;

static void before_fork(void)
{
	if (instance_close_all())
		log_warn("a process that moves connections between its threads forks: they stay "
			 "where they are from now on");
}

void migrate_start(control_fn real_control)
{
	moves_control = real_control;
	migrate_is_on = runtime_on() && runtime_policy()->migrate_mode == MIGRATE_EPOLL &&
			!pthread_atfork(before_fork, NULL, NULL);
}

/* A socket of another family whose protocol has TCP's number does no harm: it has no CPU to go to.
 */
static bool is_connection(int fd)
{
	enum fd_kind kind = fd_get(fd).kind;

	if (kind != FD_UNKNOWN && kind != FD_PLAIN && kind != FD_SOCKET)
		return false;
	return (kind == FD_SOCKET ||
		socket_get_int(fd, SOL_SOCKET, SO_PROTOCOL, -1) == IPPROTO_TCP) &&
	       !socket_is_listening(fd);
}

/* As opposed to one that was made from here. */
static bool came_in(int fd)
{
	struct fd_word word = fd_get(fd);

	return word.kind != FD_SOCKET ||
	       (word.value & (SOCKET_UNSEEN | SOCKET_CALLED)) == SOCKET_UNSEEN;
}

static bool is_registered(struct place place)
{
	return place.state == PLACE_MOVES || place.state == PLACE_STAYS;
}

/* The call that the application made, where the registration is. */
static int control_at(unsigned number, int op, int fd, struct epoll_event *event)
{
	return moves_control(instance_at(number)->epfd, op, fd, event);
}

static void note_registered(int fd, const struct epoll_event *event)
{
	struct place_registration *reg = place_registration(fd);

	*reg = (struct place_registration){.events = event->events, .data = event->data.u64};
}

/* Just added to the instance where it was meant to be. One added by another thread than waits there
 * is in the right one already, or will be looked at by the sweep. */
static void look_at_added(int fd, unsigned number)
{
	struct place_registration *reg = place_registration(fd);

	if (instance_at(number)->tid != self_tid())
		return;
	int cpu = socket_incoming_cpu(fd);
	bool is_home = placement_is_home(instance_worker(number), cpu);
	reg->is_new = placement_is_lasting(&reg->seen, cpu, is_home);
	if (reg->is_new)
		moves_note(fd);
}

static void note_served(int fd, unsigned number)
{
	struct instance *instance = instance_at(number);

	if (instance->serves || !came_in(fd))
		return;
	instance->serves = true;
	if (instance->tid == self_tid())
		instance->next_home_ms = 0;
}

static void forget_registration(struct place place)
{
	if (is_registered(place))
		atomic_fetch_sub(&instance_worker(place.now)->held, 1);
}

/* The application registers a connection a second time, with another instance: it knows of two, so
 * there have to be two. Returns what is left of the first. */
static struct place leave_alone(int fd, struct place place)
{
	if (place.now != place.origin)
		place = moves_transfer(fd, place, place.origin);
	forget_registration(place);
	return (struct place){.state = is_registered(place) ? PLACE_LEFT : PLACE_NONE};
}

/* What was registered may be gone, closed behind our back: then the kernel lets it be added. */
static int add_again(int epfd, int fd, struct epoll_event *event, struct place *place,
		     unsigned number)
{
	int ret = control_at(place->now, EPOLL_CTL_ADD, fd, event);

	if (ret && errno == EEXIST)
		return ret;
	forget_registration(*place);
	if (!ret && place->now != number) {
		control_at(place->now, EPOLL_CTL_DEL, fd, event);
		ret = moves_control(epfd, EPOLL_CTL_ADD, fd, event);
	}
	*place = (struct place){.state = ret ? PLACE_NONE : PLACE_MOVES,
				.origin = (uint8_t)number,
				.now = (uint8_t)number};
	return ret;
}

static int add_anew(int epfd, int fd, struct epoll_event *event, struct place *place,
		    unsigned number)
{
	unsigned target = number;
	bool is_tied = place->state == PLACE_TIED;

	/* One with EPOLLEXCLUSIVE cannot be modified, so it is not moved, either. */
	if (number && !(event->events & EPOLLEXCLUSIVE))
		target = is_tied ? (place->now ? place->now : number) : moves_target(fd, number);
	int ret = target == number ? moves_control(epfd, EPOLL_CTL_ADD, fd, event)
				   : control_at(target, EPOLL_CTL_ADD, fd, event);
	if (ret && target != number) {
		target = number;
		ret = moves_control(epfd, EPOLL_CTL_ADD, fd, event);
	}
	if (ret)
		return ret;
	if (!number)
		target = number = instance_enter(epfd);
	if (number && !(event->events & EPOLLEXCLUSIVE))
		*place = (struct place){.state = is_tied ? PLACE_STAYS : PLACE_MOVES,
					.origin = (uint8_t)number,
					.now = (uint8_t)target};
	return 0;
}

static int add(int epfd, int fd, struct epoll_event *event)
{
	unsigned number = instance_of(epfd);
	struct place place;
	int ret;

	if (!is_connection(fd) || !place_take(fd, &place))
		return moves_control(epfd, EPOLL_CTL_ADD, fd, event);
	if (place.state == PLACE_INSTANCE) /* closed behind our back */
		place = (struct place){.state = PLACE_NONE};
	if (is_registered(place) && number && (number == place.origin || number == place.now)) {
		ret = add_again(epfd, fd, event, &place, number);
	} else {
		if (is_registered(place))
			place = leave_alone(fd, place);
		ret = place.state == PLACE_LEFT ? moves_control(epfd, EPOLL_CTL_ADD, fd, event)
						: add_anew(epfd, fd, event, &place, number);
	}
	if (!ret && is_registered(place)) {
		note_registered(fd, event);
		atomic_fetch_add(&instance_worker(place.now)->held, 1);
		note_served(fd, place.origin);
		if (place.state == PLACE_MOVES && place.now == place.origin)
			look_at_added(fd, place.now);
	}
	place_give(fd, place);
	return ret;
}

/* EPOLLONESHOT: armed by the thread that waits there. */
static void look_at_armed(int fd, struct place place)
{
	if (++place_registration(fd)->armed % ARMED_PER_LOOK == 0 && place.state == PLACE_MOVES &&
	    instance_at(place.now)->tid == self_tid())
		moves_note(fd);
}

/* EPOLL_CTL_MOD or DEL, with any of the instances. */
static int change(int epfd, int op, int fd, struct epoll_event *event)
{
	struct place place;
	bool is_taken = place_take(fd, &place);
	int ret = -1;

	errno = ENOENT;
	/* In a signal handler the thread may be at the very same descriptor. */
	if (is_registered(place) || (!is_taken && place.now))
		ret = control_at(place.now, op, fd, event);
	bool is_gone = ret && (errno == ENOENT || errno == EBADF);
	if (is_gone)
		ret = moves_control(epfd, op, fd, event);
	if (!is_taken)
		return ret;
	if (is_registered(place) && (is_gone || (!ret && op == EPOLL_CTL_DEL))) {
		forget_registration(place);
		place = (struct place){.state =
					       place.state == PLACE_STAYS ? PLACE_TIED : PLACE_NONE,
				       .now = place.state == PLACE_STAYS ? place.now : 0};
	} else if (!ret && is_registered(place)) {
		struct place_registration *reg = place_registration(fd);
		reg->events = event->events;
		reg->data = event->data.u64;
		if (reg->events & EPOLLONESHOT)
			look_at_armed(fd, place);
	}
	place_give(fd, place);
	return ret;
}

int migrate_control(int epfd, int op, int fd, struct epoll_event *event)
{
	struct place place = place_get(fd);
	int before = errno, ret;

	if (self_is_borrowed())
		return moves_control(epfd, op, fd, event);
	if (op == EPOLL_CTL_ADD)
		ret = add(epfd, fd, event);
	/* While another thread is at it, it may be adding it. */
	else if ((place.origin || place.holder) && instance_of(epfd))
		ret = change(epfd, op, fd, event);
	else
		return moves_control(epfd, op, fd, event);
	if (!ret)
		errno = before;
	return ret;
}

void migrate_before_wait(int epfd)
{
	unsigned number = instance_enter(epfd);
	uint64_t now_ms = clock_ms();

	if (number && instance_begin(number, now_ms))
		moves_make(number, now_ms);
}

static void close_instance(int fd, struct place place)
{
	unsigned number = place.now;
	bool is_last = instance_lose_number(number, fd);

	/* In a child of a fork they are its parent's. */
	if (is_last && instance_at(number)->epoch == self_epoch())
		moves_dissolve(number);
	if (place_take(fd, &place))
		place_give(fd, (struct place){.state = PLACE_NONE});
	if (is_last)
		instance_end(number);
}

void migrate_forget(int fd)
{
	struct place place = place_get(fd);
	int before = errno;

	if (place.state == PLACE_NONE || self_is_borrowed())
		return;
	if (place.state == PLACE_INSTANCE) {
		close_instance(fd, place);
	} else if (place_take(fd, &place)) {
		forget_registration(place);
		place_give(fd, (struct place){.state = PLACE_NONE});
	}
	errno = before;
}

void migrate_closing_range(unsigned int first, unsigned int last)
{
	for (unsigned int fd = first; migrate_is_on && fd <= last && fd < (unsigned)place_end();
	     fd++)
		migrate_forget((int)fd);
}

static struct place copy_of(int fd, struct place *place)
{
	if (place->state == PLACE_INSTANCE) {
		atomic_fetch_add(&instance_at(place->now)->numbers, 1);
		return *place;
	}
	if (place->state == PLACE_NONE && is_connection(fd))
		place->state = PLACE_TIED;
	else if (place->state == PLACE_MOVES)
		place->state = PLACE_STAYS;
	if (place->state == PLACE_NONE || place->state == PLACE_LEFT)
		return *place;
	return (struct place){.state = PLACE_TIED, .now = place->now};
}

void migrate_tie(int fd, int to)
{
	struct place place, copy, before;

	if (fd == to || self_is_borrowed() || !place_take(fd, &place))
		return;
	copy = copy_of(fd, &place);
	place_give(fd, place);
	if (place_take(to, &before)) {
		forget_registration(before); /* of what was closed behind our back */
		place_give(to, copy);
	}
}
