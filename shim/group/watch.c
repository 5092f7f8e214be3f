#include "shim/group/watch.h"
#include "shim/group/listener.h"
#include "shim/group/mark.h"
#include "shim/group/watch_state.h"
#include "shim/kernel/sys.h"
#include "shim/process/fd_table.h"
#include "shim/process/hot.h"
#include "shim/process/machine.h"
#include "shim/process/own_fd.h"
#include "shim/process/self.h"
#include <stddef.h>

struct watch watch_places[WATCHES_MAX];
HOT_DATA _Atomic int watch_exists;
__thread int thread_watch;

/* Under self_lock(). */
static int watch_new(int epfd, bool private)
{
	for (int i = 0; i < WATCHES_MAX; i++) {
		struct watch *watch = &watch_places[i];
		if (watch->in_use)
			continue;
		watch->epfd = epfd;
		watch->descriptors = 1;
		watch->private = private;
		watch->tid = 0;
		watch->takeovers = watch->draining = watch->has_oneshot = watch->lost = 0;
		watch->first = NULL;
		watch->next_ms = 0;
		watch->news_epoch = 0;
		watch->news_rest = 0;
		watch->followed_ms = watch->evened_ms = watch->found_ms = watch->came_ms = 0;
		watch->takes_part = watch->is_busy = watch->is_hot = false;
		watch->in_use = 1;
		watch_exists = 1;
		return i;
	}
	return -1;
}

static struct registration *find(const struct watch *watch, int fd, int listener)
{
	struct registration *reg = watch->first;

	while (reg && !(reg->fd == fd && reg->listener == listener))
		reg = reg->next;
	return reg;
}

/* Some thread may be waiting on it right now. */
static void touch(struct watch *watch, const struct epoll_event *event)
{
	if (event->events & EPOLLONESHOT)
		watch->has_oneshot = 1;
	watch->dirty = 1;
}

struct copies {
	uint32_t of;
	unsigned number;
};

static void join_copy(int fd, uint32_t of, void *argument)
{
	const struct copies *copies = argument;

	if (of != copies->of)
		return;
	watch_places[copies->number].descriptors++;
	fd_set_word(fd, FD_EPOLL, copies->number);
}

static int watch_of(int epfd)
{
	struct fd_word word = fd_get(epfd);
	int number = word.kind == FD_EPOLL ? (int)word.value : watch_new(epfd, false);
	struct copies copies = {.of = word.value, .number = (unsigned)number};

	if (number < 0 || word.kind == FD_EPOLL)
		return number;
	fd_set_word(epfd, FD_EPOLL, (uint32_t)number);
	if (word.kind == FD_INSTANCE && word.value)
		fd_for_each(FD_INSTANCE, join_copy, &copies);
	return number;
}

static void add_registration(int epfd, int fd, int listener, const struct epoll_event *event)
{
	int number = watch_of(epfd);
	struct registration *reg = number < 0 ? NULL : registration_new(fd, listener, event);

	if (!reg)
		return;
	reg->next = watch_places[number].first;
	watch_places[number].first = reg;
	touch(&watch_places[number], event);
}

void watch_control(int epfd, int op, int fd, int listener, const struct epoll_event *event)
{
	struct fd_word word = fd_get(epfd);
	struct registration *reg = NULL;
	struct self_guard guard;

	if (word.kind == FD_EPOLL)
		reg = find(&watch_places[word.value], fd, listener);
	if (reg) {
		if (op == EPOLL_CTL_DEL) {
			reg->present = 0;
			watch_places[word.value].dirty = 1;
		} else {
			/* Added twice: the instance is another one, without our members. */
			bool again = op == EPOLL_CTL_ADD && reg->present;
			registration_update(reg, event);
			reg->rearmed |= again;
			touch(&watch_places[word.value], event);
		}
	} else if (op != EPOLL_CTL_DEL && !self_is_borrowed()) {
		self_lock(&guard);
		add_registration(epfd, fd, listener, event);
		self_unlock(&guard);
	}
}

/* gone_too: also where the application took the listener out since the last wait. The members are
 * still there, and what waits at them is accept()'s to find. */
static const struct slot_set *added_in(const struct watch *watch, int listener, bool gone_too)
{
	for (const struct registration *reg = watch->first; reg; reg = reg->next)
		if (reg->listener == listener && (reg->present || gone_too))
			return &reg->added;
	return NULL;
}

const struct slot_set *watch_of_thread(int listener)
{
	const struct watch *watch = thread_watch ? &watch_places[thread_watch - 1] : NULL;

	return watch && !watch->private ? added_in(watch, listener, false) : NULL;
}

const struct slot_set *watch_home_of_thread(int listener)
{
	return thread_watch ? added_in(&watch_places[thread_watch - 1], listener, false) : NULL;
}

struct slot_set watch_of_process(int listener)
{
	struct slot_set all = {0};

	for (int i = 0; i < WATCHES_MAX; i++) {
		const struct slot_set *added =
			watch_places[i].in_use ? added_in(&watch_places[i], listener, true) : NULL;
		if (added)
			slots_join(&all, added);
	}
	return all;
}

static void take_number(int fd, uint32_t number, void *watch)
{
	if (watch_at(number) == watch)
		((struct watch *)watch)->epfd = fd;
}

void watch_duplicated(unsigned number, int fd)
{
	if (self_is_borrowed())
		return;
	watch_at(number)->descriptors++;
	fd_set_word(fd, FD_EPOLL, number);
}

void watch_copied(int fd, int to)
{
	static _Atomic uint32_t last;
	struct fd_word word = fd_get(fd);

	if (!word.value) {
		fd_swap(fd, word, FD_INSTANCE, ++last);
		word = fd_get(fd);
	}
	if (word.kind == FD_EPOLL)
		watch_duplicated(word.value, to); /* another thread has just added a listener */
	else
		fd_set_word(to, word.kind, word.value);
}

int watch_recognise(int epfd, const struct epoll_event *events, int count)
{
	for (int e = 0; e < count; e++) {
		if (!mark_is(&events[e]))
			continue;
		const struct registration *wanted =
			registration_at(mark_of(&events[e]).registration);
		for (unsigned i = 0; i < WATCHES_MAX; i++) {
			const struct registration *reg =
				watch_places[i].in_use ? watch_places[i].first : NULL;
			while (reg && reg != wanted)
				reg = reg->next;
			if (!reg)
				continue;
			watch_duplicated(i, epfd);
			return (int)i;
		}
	}
	return -1;
}

void watch_closed(unsigned number, int fd)
{
	struct watch *watch = watch_at(number);
	struct registration *reg, *next;
	struct self_guard guard;

	if (self_is_borrowed())
		return;
	self_lock(&guard);
	if (--watch->descriptors) {
		/* What is to be done with the instance is done by a number that stays. */
		fd_forget(fd);
		fd_for_each(FD_EPOLL, take_number, watch);
		self_unlock(&guard);
		return;
	}
	for (reg = watch->first; reg; reg = next) {
		struct group *group = listener_group(reg->listener);
		next = reg->next;
		bool was_present = reg->present;
		registration_end(reg, watch->epfd, group);
		if (was_present)
			group_publish_if_changed(group);
	}
	watch->first = NULL;
	watch->in_use = 0;
	if (thread_watch == (int)number + 1)
		thread_watch = 0;
	self_unlock(&guard);
}

void watch_forget_listener(int listener)
{
	for (int i = 0; i < WATCHES_MAX; i++) {
		if (!watch_places[i].in_use)
			continue;
		for (struct registration *reg = watch_places[i].first; reg; reg = reg->next) {
			if (reg->listener != listener)
				continue;
			registration_withdraw(reg, watch_places[i].epfd, listener_group(listener));
			/* In a child of a fork the entry is its parent's. */
			if (watch_places[i].private && reg->epoch == self_epoch())
				sys(SYS_epoll_ctl, watch_places[i].epfd, EPOLL_CTL_DEL, reg->fd,
				    NULL);
			watch_places[i].lost = watch_places[i].private;
		}
		watch_places[i].dirty = 1;
	}
}

void watch_strip(int listener)
{
	for (int i = 0; i < WATCHES_MAX; i++) {
		struct registration *reg = watch_places[i].in_use ? watch_places[i].first : NULL;
		for (; reg; reg = reg->next)
			if (reg->listener == listener)
				registration_strip(reg, watch_places[i].epfd,
						   listener_group(listener));
	}
}

void watch_relisten(int listener, int other)
{
	for (int i = 0; i < WATCHES_MAX; i++) {
		struct registration *reg = watch_places[i].in_use ? watch_places[i].first : NULL;
		for (; reg; reg = reg->next) {
			if (reg->listener != listener)
				continue;
			if (other >= 0)
				reg->listener = other;
			else
				reg->present = 0;
			watch_places[i].next_ms = 0;
			watch_places[i].lost = watch_places[i].private && other < 0;
		}
	}
}

static void take_out(const struct group *group, unsigned slot)
{
	for (int i = 0; i < WATCHES_MAX; i++) {
		struct registration *reg = watch_places[i].in_use ? watch_places[i].first : NULL;
		for (; reg; reg = reg->next) {
			if (!reg->present || listener_group(reg->listener) != group)
				continue;
			registration_take_out(reg, watch_places[i].epfd, group, slot);
			watch_places[i].next_ms = 0;
		}
	}
}

void watch_move_descriptor(int fd)
{
	struct self_guard guard, yielded;

	if (self_is_borrowed())
		return;
	bool yields = machine_yield(fd, &yielded);
	self_lock(&guard);
	for (unsigned i = 0; i < GROUPS_MAX; i++) {
		struct group *group = group_at(i);
		for (unsigned s = 0; group->in_use && s < group->slot_count; s++)
			if (group->member[s] == fd)
				take_out(group, s);
	}
	own_fd_move(fd);
	self_unlock(&guard);
	if (yields)
		machine_yielded(&yielded);
}

void watch_thread_moved(void)
{
	if (thread_watch)
		watch_places[thread_watch - 1].next_ms = 0;
}

int watch_open_private(int epfd)
{
	struct self_guard guard;

	self_lock(&guard);
	int number = watch_new(epfd, true);
	self_unlock(&guard);
	return number;
}

bool watch_has(unsigned number, int fd, int listener)
{
	const struct registration *reg = find(watch_at(number), fd, listener);

	return reg && reg->present;
}

bool watch_add_private(unsigned number, int fd, int listener)
{
	struct watch *watch = watch_at(number);
	struct epoll_event event = {.events = EPOLLIN};
	struct registration *reg = find(watch, fd, listener);

	if (!reg && (reg = registration_new(fd, listener, &event))) {
		reg->next = watch->first;
		watch->first = reg;
	}
	if (!reg || registration_put_listener(reg, watch->epfd) < 0)
		return false;
	watch->dirty = 1;
	return true;
}

bool watch_has_other(unsigned number, int fd)
{
	const struct registration *reg = watch_at(number)->first;

	while (reg && (!reg->present || reg->fd == fd))
		reg = reg->next;
	return reg;
}

void watch_keep_private(unsigned number, const struct pollfd *fds, nfds_t count)
{
	struct watch *watch = watch_at(number);

	for (struct registration *reg = watch->first; reg; reg = reg->next) {
		nfds_t i = 0;
		while (i < count && fds[i].fd != reg->fd)
			i++;
		if (i < count || !reg->present)
			continue;
		reg->present = 0;
		sys(SYS_epoll_ctl, watch->epfd, EPOLL_CTL_DEL, reg->fd, NULL);
		watch->dirty = 1;
	}
}
