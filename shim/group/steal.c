#include "shim/group/steal.h"
#include "shim/group/listener.h"
#include "shim/group/mailbox.h"
#include "shim/group/ready.h"
#include "shim/group/watch_state.h"
#include <netinet/in.h>
#include <netinet/tcp.h>

/* How often one without work looks while the group is busy. */
#define LOOK_MS 4
/* A queue that had connections for so long is not one that is about to be emptied. */
#define LASTING_MS 5
/* Its worker did not come around for so long: then what waits is not taken from anybody. Workers
 * say so every few milliseconds, see watch.c. */
#define STILL_MS 100

/* Connections in a slot's queue (of a listening socket: tcp_get_info). */
static int queue_length(const struct group *group, unsigned slot)
{
	struct tcp_info info = {0};
	socklen_t length = sizeof(info);

	if (ledger_hands_over(group->ledger))
		return mailbox_length(group, slot);
	return socket_get(group->member[slot], IPPROTO_TCP, TCP_INFO, &info, &length) < 0
		       ? 1
		       : (int)info.tcpi_unacked;
}

static uint32_t local_of(const struct group *group)
{
	uint32_t sum = 0;

	for (unsigned s = 0; s < group->slot_count; s++)
		sum += atomic_load_explicit(&group->ledger->local[s].taken, memory_order_relaxed);
	return sum;
}

/* The longest queue of others that is for us, too; -1: none. */
static int find_queue(struct registration *reg, const struct group *group, uint64_t now_ms,
		      int *length)
{
	struct slot_set waiting = group_waiting(group);
	bool is_later = now_ms - reg->seen_ms >= LASTING_MS;
	int best = -1;

	*length = 0;
	for (unsigned s = 0; s < group->slot_count; s++) {
		if (slot_in(&reg->added, s))
			slot_remove(&waiting, s);
		if (!slot_in(&waiting, s))
			continue;
		int now = queue_length(group, s);
		bool lasts = is_later && slot_in(&reg->seen, s);
		bool is_still = lasts && !ledger_moves(group->ledger, s, now_ms, STILL_MS);
		if (now > *length && balance_is_long(now, lasts, is_still)) {
			*length = now;
			best = (int)s;
		}
	}
	for (int w = 0; w < SLOTS_WORDS; w++)
		reg->seen.word[w] =
			is_later ? waiting.word[w] : reg->seen.word[w] & waiting.word[w];
	if (is_later)
		reg->seen_ms = now_ms;
	return best;
}

static unsigned most_of(struct registration *reg, const struct group *group, unsigned slot,
			int length, uint64_t now_ms)
{
	const struct ledger *ledger = group->ledger;
	unsigned allowed = ledger_moves(ledger, slot, now_ms, STILL_MS)
				   ? balance_allow(&reg->balance, steal_ratio(), local_of(group),
						   ledger->stolen)
				   : BALANCE_BATCH;
	unsigned half = (unsigned)length / 2 + 1;

	return allowed < half ? allowed : half;
}

/* Whether connections of that listener are to be offered to this thread. */
static bool takes_part(const struct registration *reg, const struct group *group)
{
	return reg->present && reg->events & EPOLLIN && !(reg->events & EPOLLONESHOT) &&
	       !slots_empty(&reg->added) && group_is_steering(group);
}

/* Workers that have work follow what comes, too: when they run out of it they must know. */
static void follow(struct watch *watch, uint64_t now_ms)
{
	if (now_ms - watch->followed_ms < BALANCE_WINDOW_MS)
		return;
	watch->followed_ms = now_ms;
	watch->is_busy = false;
	for (struct registration *reg = watch->first; reg; reg = reg->next) {
		struct group *group = reg->present ? listener_group(reg->listener) : NULL;
		if (!group || !takes_part(reg, group))
			continue;
		balance_follow(&reg->balance, now_ms, local_of(group), group->ledger->stolen);
		watch->is_busy |= balance_is_busy(&reg->balance);
	}
}

int steal_slice(struct watch *watch, uint64_t now_ms, int slice_ms)
{
	if (__builtin_expect(!steal_ratio(), 1))
		return slice_ms;
	follow(watch, now_ms);
	if (!watch->is_busy)
		return slice_ms;
	if (watch->is_hot)
		return 0;
	return slice_ms < LOOK_MS ? slice_ms : LOOK_MS;
}

static bool steal_from(struct registration *reg, const struct group *group, uint64_t now_ms)
{
	int length, slot = find_queue(reg, group, now_ms, &length);
	unsigned most = slot < 0 ? 0 : most_of(reg, group, (unsigned)slot, length, now_ms);

	return most && ready_add((struct ready_member){.group = (uint16_t)group_number(group),
						       .slot = (uint16_t)slot,
						       .most = (uint8_t)most});
}

int steal_look(struct watch *watch, uint64_t now_ms, struct epoll_event *events, int max)
{
	int count = 0;

	if (__builtin_expect(!steal_ratio(), 1) || !watch->is_busy)
		return 0;
	for (struct registration *reg = watch->first; reg && count < max; reg = reg->next) {
		struct group *group = reg->present ? listener_group(reg->listener) : NULL;
		if (group && takes_part(reg, group) && balance_is_busy(&reg->balance) &&
		    steal_from(reg, group, now_ms))
			events[count++] =
				(struct epoll_event){.events = EPOLLIN, .data.u64 = reg->data};
	}
	watch->is_hot = count;
	return count;
}
