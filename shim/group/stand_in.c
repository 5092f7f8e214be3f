#include "shim/group/stand_in.h"
#include "shim/group/listener.h"
#include "shim/group/watch_state.h"
#include "shim/kernel/clock.h"
#include "shim/kernel/poll.h"
#include "shim/kernel/sys.h"
#include "shim/process/fd_table.h"
#include "shim/process/own_fd.h"
#include "shim/process/self.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

/* Listeners in one poll(); more are waited for as the application would without the shim. */
#define EVENTS_MAX 16
/* The array of poll() is copied: to the stack, or where it is longer to memory that the thread
 * keeps.
 */
#define POLL_MAX 64
/* A claim to accept() is some system calls long. Who holds one for longer than this was killed, or
 * sleeps in there: to sleep beside it is better than to wait for it. */
#define CLAIM_MS 100
/* What one waits for another's. */
#define CLAIM_PAUSE_NS 50000
/* A claim: the thread, below PID_MAX_LIMIT, and above it which of its claims. */
#define CLAIM_SHIFT 22

struct poll_room {
	size_t bytes;
	struct pollfd fds[];
};

static __thread struct {
	uint32_t epoch; /* process that opened it */
	int epfd;
	int watch;
	uint32_t polls;                 /* process in which it waits by poll() */
	uint32_t claims, claim;         /* to accept(): how many there were, and the present one */
	uint32_t foreign;               /* another thread's that was seen last, */
	uint64_t foreign_since_ms;      /* and since when */
	struct poll_room *_Atomic room; /* NULL while it is used: a signal handler may poll, too */
} instance;

static pthread_key_t at_thread_end;
static bool has_key;

static void room_free(struct poll_room *room)
{
	if (room)
		sys(SYS_munmap, room, room->bytes);
}

static struct poll_room *room_take(nfds_t count)
{
	struct poll_room *room = atomic_exchange(&instance.room, NULL);
	size_t bytes = sizeof(*room) + count * sizeof(room->fds[0]);

	if (room && room->bytes >= bytes)
		return room;
	room_free(room);
	/* A server that has one connection more each time does not map anew each time. */
	bytes += bytes / 2;
	long at = sys(SYS_mmap, NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	room = at < 0 ? NULL : (struct poll_room *)at;
	if (room)
		room->bytes = bytes;
	return room;
}

static void room_return(struct poll_room *room)
{
	if (room)
		room_free(atomic_exchange(&instance.room, room));
}

static void close_instance(void *unused)
{
	(void)unused;
	room_free(atomic_exchange(&instance.room, NULL));
	if (instance.epoch != self_epoch())
		return;
	watch_closed((unsigned)instance.watch, instance.epfd);
	own_fd_close(instance.epfd);
	instance.epoch = 0;
}

void stand_in_start(void)
{
	has_key = !pthread_key_create(&at_thread_end, close_instance);
}

/* A filter of system calls may know none but the application's own. */
static _Atomic bool is_refused;

static bool says_refused(long ret)
{
	return ret == -EPERM || ret == -ENOSYS || ret == -EACCES;
}

void stand_in_leave(void)
{
	int before = errno;

	if (instance.epoch == self_epoch())
		close_instance(NULL);
	errno = before;
}

bool stand_in_is_lost(void)
{
	bool lost = instance.epoch == self_epoch() && (is_refused || !own_fd_holds(instance.epfd));

	if (lost)
		stand_in_leave();
	return lost;
}

/* Asked before a connection can wait at a member. */
static bool may_wait(void)
{
	uint64_t all = ~UINT64_C(0);
	struct timespec now = {0};
	struct epoll_event event;

	if (!is_refused)
		is_refused =
			says_refused(sys(SYS_epoll_pwait, -1, &event, 1, 0, &all, sizeof(all))) ||
			says_refused(sys(SYS_ppoll, NULL, 0, &now, &all, sizeof(all)));
	return !is_refused;
}

static bool open_instance(void)
{
	if (instance.epoch == self_epoch())
		return true;
	if (!may_wait())
		return false;
	int epfd = own_fd((int)sys(SYS_epoll_create1, EPOLL_CLOEXEC));
	if (epfd < 0)
		return false;
	bool ends = has_key && !pthread_setspecific(at_thread_end, &instance);
	instance.watch = ends ? watch_open_private(epfd) : -1;
	if (instance.watch < 0) {
		own_fd_close(epfd);
		return false;
	}
	instance.epfd = epfd;
	own_fd_hold(&instance.epfd);
	instance.epoch = self_epoch();
	return true;
}

int stand_in_open(int listener, int fd)
{
	const struct group *group = listener_group(listener);
	struct self_guard guard;

	/* The number may stand for an instance of the application's. */
	if (instance.epoch == self_epoch() && fd_get(instance.epfd).kind != FD_OURS)
		stand_in_is_lost();
	if (instance.epoch == self_epoch())
		watch_at((unsigned)instance.watch)->lost = 0; /* of listeners waited for before */
	/* Once it is there it stays, also where steering ended: connections may wait at members. */
	if (instance.epoch == self_epoch() && watch_has((unsigned)instance.watch, fd, listener))
		return instance.watch;
	if (!(group_is_steering(group) || group_is_awaited(group)) || self_is_borrowed() ||
	    !open_instance())
		return -1;
	self_lock(&guard);
	bool added = watch_add_private((unsigned)instance.watch, fd, listener);
	self_unlock(&guard);
	return added ? instance.watch : -1;
}

int stand_in_wait(const struct watch_call *call, int timeout_ms, const uint64_t *mask)
{
	int type;

	/* The calls it stands in for are cancellation points; nothing is lost to a thread that ends
	 * here, as what is ready is reported again. */
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
	long count = sys(SYS_epoll_pwait, instance.epfd, call->events, call->max_events, timeout_ms,
			 mask, sizeof(*mask));
	pthread_setcanceltype(type, NULL);

	if (count >= 0)
		return (int)count;
	if (says_refused(count))
		is_refused = true; /* since it was opened */
	errno = (int)-count;
	return -1;
}

/* As the kernel sees it: struct sigaction of libc has another layout. */
struct kernel_action {
	void (*handler)(int);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

bool stand_in_restarts(void)
{
	bool any = false;

	for (int signal = 1; signal < 65; signal++) {
		struct kernel_action action;
		memset(&action, 0, sizeof(action));
		if (sys(SYS_rt_sigaction, signal, NULL, &action, sizeof(action.mask)) < 0 ||
		    action.handler == SIG_DFL || action.handler == SIG_IGN)
			continue;
		if (!(action.flags & SA_RESTART))
			return false;
		any = true;
	}
	return any;
}

bool stand_in_polls(void)
{
	return instance.polls == self_epoch();
}

/* Also a handler that jumped out of accept() has left its thread's own claim behind. */
static bool is_left_behind(uint32_t holder)
{
	uint64_t now = clock_ms();

	if (holder != instance.foreign) {
		instance.foreign = holder;
		instance.foreign_since_ms = now;
	}
	return now - instance.foreign_since_ms >= CLAIM_MS ||
	       (holder & ((1u << CLAIM_SHIFT) - 1)) == (uint32_t)self_tid();
}

bool stand_in_claim(const struct group *group, int fd)
{
	struct pollfd poll = {.fd = fd, .events = POLLIN};
	struct timespec pause = {.tv_nsec = CLAIM_PAUSE_NS};
	uint32_t holder = group->ledger->accepting;

	if (holder && !is_left_behind(holder)) {
		/* It runs elsewhere, or waits for this very CPU. */
		sys(SYS_nanosleep, &pause, NULL);
		return false;
	}
	instance.claim = ++instance.claims << CLAIM_SHIFT | (uint32_t)self_tid();
	if (!atomic_compare_exchange_strong(&group->ledger->accepting, &holder, instance.claim))
		return false;
	if (sys_poll(&poll, 1, 0) == 1)
		return true;
	stand_in_unclaim(group);
	return false;
}

void stand_in_unclaim(const struct group *group)
{
	uint32_t claim = instance.claim;

	atomic_compare_exchange_strong(&group->ledger->accepting, &claim, 0);
}

/* A poll() in progress: the listeners' places in the application's array are taken by ours. */
struct poll_call {
	struct watch_call watch; /* first: a wait function gets only that */
	struct pollfd *fds;
	nfds_t count;
	nfds_t at; /* where our instance stands */
	poll_fn wait_plain;
	int others; /* descriptors of the application that are ready */
};

static int poll_once(const struct watch_call *watch, int timeout_ms, const uint64_t *mask)
{
	struct poll_call *call = (struct poll_call *)watch;
	int ready = call->wait_plain(call->fds, call->count, timeout_ms, mask), ours = 0;

	if (ready < 0)
		return ready;
	call->others = ready - !!call->fds[call->at].revents;
	if (call->fds[call->at].revents)
		ours = stand_in_wait(watch, 0, NULL);
	if (ours)
		return ours;
	/* An event of nobody's ends the wait for the sake of the others. */
	watch->events[0] = (struct epoll_event){0};
	return !!call->others;
}

static int find_listener(const struct pollfd *entry)
{
	return entry->fd >= 0 && entry->events & (POLLIN | POLLRDNORM) ? listener_known(entry->fd)
								       : -1;
}

static int answer(struct pollfd *fds, const struct poll_call *call, int events)
{
	int total = 0;

	for (nfds_t i = 0; i < call->count; i++) {
		int listener = call->fds[i].fd == fds[i].fd ? -1 : find_listener(&fds[i]);
		fds[i].revents = listener < 0 ? call->fds[i].revents : 0;
		for (int e = 0; listener >= 0 && e < events; e++)
			if (watch_event_listener(&call->watch.events[e]) == listener)
				fds[i].revents = fds[i].events & (POLLIN | POLLRDNORM);
		total += !!fds[i].revents;
	}
	return total;
}

/* A listener that was waited for, and is none any more. */
static bool is_any_gone(const struct pollfd *fds, const struct poll_call *call)
{
	for (nfds_t i = 0; i < call->count; i++)
		if (call->fds[i].fd != fds[i].fd && find_listener(&fds[i]) < 0)
			return true;
	return false;
}

static int poll_by(struct pollfd *copy, struct pollfd *fds, nfds_t count, int timeout_ms,
		   const uint64_t *mask, poll_fn wait_plain)
{
	struct epoll_event events[EVENTS_MAX];
	struct poll_call call = {.watch = {.wait = poll_once,
					   .events = events,
					   .max_events = EVENTS_MAX,
					   .timeout_ms = timeout_ms,
					   .mask = mask},
				 .fds = copy,
				 .count = count,
				 .at = count,
				 .wait_plain = wait_plain};
	int watch = -1;

	instance.polls = self_epoch();
	memcpy(copy, fds, count * sizeof(*fds));
	for (nfds_t i = 0; i < count; i++) {
		int listener = find_listener(&fds[i]);
		int opened = listener < 0 ? -1 : stand_in_open(listener, fds[i].fd);
		if (opened < 0)
			continue;
		watch = opened;
		copy[i].fd = call.at == count ? instance.epfd : -1;
		if (call.at == count)
			call.at = i;
	}
	if (watch < 0)
		return STAND_IN_NOT_NEEDED;
	watch_keep_private((unsigned)watch, fds, count);
	int ready = watch_wait((unsigned)watch, &call.watch);
	if ((ready < 0 && stand_in_is_lost()) || (!ready && is_any_gone(fds, &call)))
		return STAND_IN_NOT_NEEDED;
	return ready < 0 ? ready : answer(fds, &call, ready);
}

int stand_in_poll(struct pollfd *fds, nfds_t count, int timeout_ms, const uint64_t *mask,
		  poll_fn wait_plain)
{
	struct pollfd copy[POLL_MAX];
	struct poll_room *room = NULL;

	if (count > POLL_MAX && (count > FD_TABLE_MAX || !(room = room_take(count)))) {
		stand_in_leave();
		return STAND_IN_NOT_NEEDED;
	}
	int ready = poll_by(room ? room->fds : copy, fds, count, timeout_ms, mask, wait_plain);
	room_return(room);
	return ready;
}
