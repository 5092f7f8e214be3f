#include "shim/group/accept.h"
#include "shim/connect/arrived.h"
#include "shim/group/deal.h"
#include "shim/group/listener.h"
#include "shim/group/mailbox.h"
#include "shim/group/ready.h"
#include "shim/group/stand_in.h"
#include "shim/group/steal.h"
#include "shim/group/watch.h"
#include "shim/kernel/clock.h"
#include "shim/kernel/pointer.h"
#include "shim/kernel/sys.h"
#include "shim/process/hot.h"
#include "shim/stat/stat.h"
#include <errno.h>
#include <stddef.h>
#include <string.h>

/* Where one kind of flows comes in numbers, whoever accepts them for another would do nothing else
 * for as long as they come. */
#define HANDED_MAX 64

/* One accept() as the application called it. */
struct attempt {
	struct group *group;
	int listener, fd;
	struct sockaddr *address;
	socklen_t *length;
	int flags;
	accept_fn real;
	int slot;              /* of the member tried last; -1: the application's socket */
	bool sleeps;           /* the application expects accept() to wait as long as it takes */
	unsigned handed;       /* over to others, so far */
	bool stolen;           /* from a worker that would have taken it */
	bool home;             /* the thread's own is known to have had it */
	struct slot_set empty; /* members that had nothing, so that none is asked twice */
};

static bool is_empty(int result)
{
	return result < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

/* What is left to do for accept(): what has no room is cut off, and its real length told. */
static int tell_address(const struct attempt *attempt, const struct letter *letter, int accepted)
{
	if (accepted < 0 || !attempt->address)
		return accepted;
	bool leads = may_point(attempt->length) && may_point(attempt->address);
	int room = leads ? (int)*attempt->length : -1;
	if (room < 0) {
		sys(SYS_close, accepted);
		errno = leads ? EINVAL : EFAULT;
		return -1;
	}
	memcpy(attempt->address, &letter->from,
	       (socklen_t)room < letter->length ? (socklen_t)room : letter->length);
	*attempt->length = letter->length;
	return accepted;
}

static int from_mailbox(const struct attempt *attempt, unsigned slot)
{
	struct letter letter;
	int accepted = mailbox_take(attempt->group, slot, attempt->flags, &letter);

	return tell_address(attempt, &letter, accepted);
}

static inline int from_member(struct attempt *attempt, unsigned slot)
{
	attempt->slot = (int)slot;
	if (ledger_hands_over(attempt->group->ledger))
		return from_mailbox(attempt, slot);
	int member = attempt->group->member[slot];
	int result = attempt->real(member, attempt->address, attempt->length, attempt->flags);
	/* That the members' listening ended is told by the application's own socket, or nobody. */
	if (result < 0 && errno == EINVAL && !socket_is_listening(member))
		errno = EAGAIN;
	/* Nor is it the application's business what became of ours, see heal.c. */
	if (result < 0 && (errno == EBADF || errno == ENOTSOCK || errno == EOPNOTSUPP))
		errno = EAGAIN;
	return result;
}

/* Puts it where it belongs, if that is elsewhere. Whoever was told by epoll or poll() that a socket
 * which blocks is ready gets this one: he has other connections to serve, and would wait here for
 * the next. */
static bool hand_over(struct attempt *attempt, int accepted, const struct letter *letter)
{
	int slot = mailbox_of(attempt->group, watch_home_of_thread(attempt->listener), accepted);

	if (slot < 0 || attempt->handed == HANDED_MAX ||
	    (!attempt->sleeps && socket_is_blocking(attempt->fd)) ||
	    !mailbox_post(attempt->group, (unsigned)slot, accepted, letter))
		return false;
	attempt->handed++;
	return true;
}

/* One connection of the application's socket, or -1 with EAGAIN where it was handed over: then the
 * caller has to look again whether this thread should sleep. */
static int from_application(struct attempt *attempt)
{
	struct letter letter = {.flags = attempt->flags, .length = sizeof(letter.from)};

	attempt->slot = -1;
	if (!ledger_hands_over(attempt->group->ledger))
		return attempt->real(attempt->fd, attempt->address, attempt->length,
				     attempt->flags);
	int accepted = attempt->real(attempt->fd, (struct sockaddr *)&letter.from, &letter.length,
				     attempt->flags);
	if (accepted < 0 || !hand_over(attempt, accepted, &letter))
		return tell_address(attempt, &letter, accepted);
	errno = EAGAIN;
	return -1;
}

/* The same without a look at the members: goes on behind what was handed over. */
static int from_application_at_once(struct attempt *attempt)
{
	unsigned handed;
	int result;

	do {
		handed = attempt->handed;
		result = from_application(attempt);
	} while (attempt->handed != handed);
	return result;
}

/* Result of the first member of the set that has anything but "try again". */
static int from_any(struct attempt *attempt, const struct slot_set *slots)
{
	int result = -1;

	errno = EAGAIN;
	for (unsigned s = 0; s < attempt->group->slot_count && is_empty(result); s++)
		if (slot_in(slots, s) && !slot_in(&attempt->empty, s))
			result = from_member(attempt, s);
	return result;
}

/* Of one that is ready: what it has, or it is not. */
static inline int from_ready_member(struct attempt *attempt, struct ready_member member)
{
	int result = from_member(attempt, member.slot);

	if (is_empty(result)) {
		slot_add(&attempt->empty, member.slot);
		ready_remove(member);
	} else if (result >= 0) {
		attempt->stolen = member.most;
		attempt->home = member.home;
		ready_took(member);
	}
	return result;
}

static int from_ready(struct attempt *attempt)
{
	int number = group_number(attempt->group), result = -1;

	errno = EAGAIN;
	for (unsigned i = 0; i < ready.count && is_empty(result);) {
		const struct ready_member member = ready.member[i];
		if (member.group == number)
			result = from_ready_member(attempt, member);
		else
			i++;
	}
	return result;
}

/* Never less than what is left of the time; -1 is for ever. */
static int left_ms(int timeout_ms, uint64_t start)
{
	int64_t left = (int64_t)(start + CLOCK_TICK_MS - clock_ms()) + timeout_ms;

	if (timeout_ms < 0)
		return -1;
	return left < 0 ? 0 : left < timeout_ms ? (int)left : timeout_ms;
}

/* Where the application's socket blocks, and another thread may be faster. */
static int from_claimed(struct attempt *attempt)
{
	int result = -1;

	errno = EAGAIN;
	if (stand_in_claim(attempt->group, attempt->fd)) {
		result = from_application(attempt);
		stand_in_unclaim(attempt->group);
	}
	return result;
}

/* A thread that polled for several listeners and now accepts from one: what it was told of is
 * there, or else the others are not to wake it, nor their connections to wait for it. */
static int from_polled(struct attempt *attempt, unsigned watch)
{
	struct pollfd only = {.fd = attempt->fd};
	int result = from_claimed(attempt);

	if (is_empty(result))
		watch_keep_private(watch, &only, 1);
	return result;
}

/* Another group may stand behind the descriptor by now, see heal.c. False: none does. */
static bool is_followed(struct attempt *attempt)
{
	int listener = listener_known(attempt->fd);

	if (listener < 0)
		return false;
	attempt->listener = listener;
	attempt->group = listener_group(listener);
	return true;
}

/* A thread that blocks in accept() waits for its home's members and the application's socket at
 * once, which only an epoll instance of its own can do. */
static int blocking(struct attempt *attempt)
{
	int timeout_ms = listener_at(attempt->listener)->timeout_ms;
	uint64_t start = clock_ms();
	struct epoll_event event;
	struct watch_call call = {
		.wait = stand_in_wait, .events = &event, .max_events = 1, .timeout_ms = timeout_ms};

	attempt->sleeps = !stand_in_polls();
	for (;; call.timeout_ms = left_ms(timeout_ms, start)) {
		int number = stand_in_open(attempt->listener, attempt->fd);
		if (number < 0)
			return from_application_at_once(attempt);
		int result;
		if (watch_has_other((unsigned)number, attempt->fd) &&
		    !is_empty(result = from_polled(attempt, (unsigned)number)))
			return result;
		int count = watch_wait((unsigned)number, &call);
		if (!is_followed(attempt) && count <= 0)
			return attempt->real(attempt->fd, attempt->address, attempt->length,
					     attempt->flags);
		if (count < 0 && stand_in_is_lost())
			continue;
		/* With a timeout the kernel does not restart accept() (sock_intr_errno). */
		if (count < 0 && errno == EINTR && timeout_ms < 0 && stand_in_restarts())
			continue;
		if (count <= 0) {
			errno = count ? errno : EAGAIN;
			return -1;
		}
		result = from_ready(attempt);
		if (is_empty(result))
			result = from_claimed(attempt);
		if (!is_empty(result))
			return result;
	}
}

/* What waits at members that nobody watches any more: the application took its listener out of its
 * instance and now empties it. */
static struct slot_set left_behind(const struct group *group)
{
	struct slot_set waiting = group_waiting(group), watched;

	ledger_watched(group->ledger, &watched);
	for (int w = 0; w < SLOTS_WORDS; w++)
		waiting.word[w] &= ~watched.word[w];
	return waiting;
}

static int from_all(struct attempt *attempt)
{
	int result;

	result = from_ready(attempt);
	if (!is_empty(result))
		return result;
	const struct slot_set *added = watch_of_thread(attempt->listener);
	if (!added && socket_is_blocking(attempt->fd))
		return blocking(attempt);
	result = from_application_at_once(attempt);
	if (!is_empty(result))
		return result;
	/* Also where it waits by poll(): what waits for other threads is theirs. */
	const struct slot_set *home = watch_home_of_thread(attempt->listener);
	if (added || (home && !slots_empty(home)))
		return from_any(attempt, home);
	/* Another thread of the process waits, this one accepts. */
	struct slot_set slots = watch_of_process(attempt->listener);
	if (slots_empty(&slots))
		slots = left_behind(attempt->group);
	return from_any(attempt, &slots);
}

static enum stat_counter counter_of(const struct attempt *attempt)
{
	if (attempt->slot < 0)
		return STAT_ACCEPT_COMMON;
	const struct slot_set *home = attempt->home ? NULL : watch_of_thread(attempt->listener);
	return !home || slot_in(home, (unsigned)attempt->slot) ? STAT_ACCEPT_MEMBER
							       : STAT_ACCEPT_DRAINED;
}

static inline void count_local(const struct attempt *attempt, int accepted)
{
	unsigned slot = (unsigned)attempt->slot;

	steal_count_local(attempt->group, slot);
	if (__builtin_expect(steal_is_shifting(attempt->group), 0))
		steal_count_shifted(attempt->group, slot, accepted);
}

static inline void count(const struct attempt *attempt, int accepted)
{
	enum stat_counter counter = attempt->home ? STAT_ACCEPT_MEMBER : counter_of(attempt);

	if (attempt->stolen) {
		steal_count_stolen(attempt->group, (unsigned)attempt->slot);
	} else {
		if (counter == STAT_ACCEPT_MEMBER)
			count_local(attempt, accepted);
		stat_count(counter);
	}
	stat_arrived(STAT_ACCEPT, accepted, 0);
	arrived(accepted);
}

HOT_CODE int accept_from(int listener, int fd, struct sockaddr *address, socklen_t *length,
			 int flags, accept_fn real)
{
	struct attempt attempt = {.group = listener_group(listener),
				  .listener = listener,
				  .fd = fd,
				  .address = address,
				  .length = length,
				  .flags = flags,
				  .real = real};
	int before = errno, accepted = -1;
	bool is_next;

	deal_order(attempt.group);
	/* The ordinary one: epoll_wait() told of a member, and it has one. Straight on, as each
	 * return behind a system call costs, see fd_table.h. */
	const struct ready_member first = ready.member[0];
	is_next = ready.count && first.home && first.group == group_number(attempt.group);
	if (is_next)
		accepted = from_ready_member(&attempt, first);
	if (!is_next || is_empty(accepted))
		accepted = from_all(&attempt);
	if (accepted < 0)
		return accepted;
	count(&attempt, accepted);
	/* What was tried in vain before is nothing to tell. */
	errno = before;
	return accepted;
}
