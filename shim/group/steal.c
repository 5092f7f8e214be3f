#include "shim/group/steal.h"
#include "shim/group/listener.h"
#include "shim/group/mailbox.h"
#include "shim/group/ready.h"
#include "shim/group/watch_state.h"
#include "shim/kernel/log.h"
#include <netinet/in.h>
#include <netinet/tcp.h>

/* How often each looks while the group is busy. */
#define LOOK_MS 4
/* And how often one without work looks whether it is. */
#define NOTICE_MS 50
/* A queue that had connections for so long is not one that is about to be emptied. */
#define LASTING_MS 5
/* Its worker did not come around for so long: then what waits is not taken from anybody. Workers
 * say so every few milliseconds, see watch.c. */
#define STILL_MS 100

/* Connections in a slot's queue (of a listening socket: tcp_get_info). */
/* To know whether a connection was steered elsewhere takes a system call: one in so many is asked,
 * and stands for all of them. */
#define SHIFTED_EACH 8

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

static uint32_t load(const _Atomic uint32_t *count)
{
	return atomic_load_explicit(count, memory_order_relaxed);
}

static uint32_t local_of(const struct group *group)
{
	uint32_t sum = 0;

	for (unsigned s = 0; s < group->slot_count; s++)
		sum += load(&group->ledger->local[s].taken);
	return sum;
}

static uint32_t stolen_of(const struct group *group)
{
	uint32_t sum = 0;

	for (unsigned s = 0; s < group->slot_count; s++)
		sum += load(&group->ledger->lost[s]);
	return sum;
}

/* Of the slots that a worker is not at home at, those with connections. */
static struct slot_set waiting_elsewhere(const struct registration *reg, const struct group *group)
{
	struct slot_set waiting = group_waiting(group);

	for (unsigned s = 0; s < group->slot_count; s++)
		if (slot_in(&reg->added, s))
			slot_remove(&waiting, s);
	return waiting;
}

/* The longest queue of others that is for us, too; -1: none. */
static int find_queue(struct registration *reg, const struct group *group, uint64_t now_ms,
		      int *length)
{
	struct slot_set waiting = waiting_elsewhere(reg, group);
	bool is_later = now_ms - reg->seen_ms >= LASTING_MS;
	int best = -1;

	*length = 0;
	for (unsigned s = 0; s < group->slot_count; s++) {
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
						   stolen_of(group))
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

/* A window is over. Returns whether the kernel is to be told something. */
static bool shift_window(struct group *group, uint64_t passed_ms)
{
	struct ledger *ledger = group->ledger;
	struct shift *shift = &ledger->shift;
	struct shift_input input = {.slot_count = group->slot_count};
	bool was_away = shift->away;

	input.passed_ms = passed_ms < UINT32_MAX ? (uint32_t)passed_ms : UINT32_MAX;
	/* Nothing else can send a part elsewhere. */
	if (ledger->rung == RUNG_PROGRAM)
		ledger_watched(ledger, &input.watched);
	for (unsigned s = 0; s < group->slot_count; s++) {
		input.local[s] = load(&ledger->local[s].taken);
		input.lost[s] = load(&ledger->lost[s]);
	}
	if (!shift_follow(shift, &input))
		return false;
	if (was_away != !!shift->away)
		log_info(was_away ? "port %u: all connections are steered to their own CPU again"
				  : "port %u: some workers have too little to do, so part of what "
				    "arrives on other CPUs is steered to them",
			 socket_port(&group->place.address));
	ledger_changed(ledger);
	return true;
}

/* Whoever comes first does it for all. */
static bool follow_shift(struct group *group, uint64_t now_ms)
{
	struct shift *shift = &group->ledger->shift;
	uint64_t begun = shift->window_ms, passed = now_ms - begun;

	return passed >= SHIFT_WINDOW_MS &&
	       atomic_compare_exchange_strong(&shift->window_ms, &begun, now_ms) &&
	       shift_window(group, passed);
}

/* Workers that have work follow what comes, too: when they run out of it they must know. */
static void follow(struct watch *watch, uint64_t now_ms)
{
	if (now_ms - watch->followed_ms < BALANCE_WINDOW_MS)
		return;
	watch->followed_ms = now_ms;
	watch->is_busy = watch->takes_part = false;
	for (struct registration *reg = watch->first; reg; reg = reg->next) {
		struct group *group = reg->present ? listener_group(reg->listener) : NULL;
		if (!group || !takes_part(reg, group))
			continue;
		balance_follow(&reg->balance, now_ms, local_of(group), stolen_of(group));
		watch->takes_part = true;
		watch->is_busy |= balance_is_busy(&reg->balance);
		if (follow_shift(group, now_ms))
			watch->next_ms = 0; /* to tell the kernel */
	}
}

int steal_slice(struct watch *watch, uint64_t now_ms, int slice_ms)
{
	if (__builtin_expect(!steal_ratio(), 1))
		return slice_ms;
	follow(watch, now_ms);
	if (!watch->takes_part)
		return slice_ms;
	if (watch->is_busy && watch->is_hot)
		return 0;
	int most_ms = watch->is_busy ? LOOK_MS : NOTICE_MS;
	return slice_ms < most_ms ? slice_ms : most_ms;
}

static bool steal_from(struct registration *reg, const struct group *group, uint64_t now_ms)
{
	int length, slot = find_queue(reg, group, now_ms, &length);
	unsigned most = slot < 0 ? 0 : most_of(reg, group, (unsigned)slot, length, now_ms);

	return most && ready_add((struct ready_member){.group = (uint16_t)group_number(group),
						       .slot = (uint16_t)slot,
						       .most = (uint8_t)most});
}

static struct balance_queue queue_of(const struct group *group, unsigned slot)
{
	int length = queue_length(group, slot);

	return (struct balance_queue){.length = length > 0 ? (uint32_t)length : 0,
				      .rate = load(&group->ledger->shift.slot[slot].rate)};
}

/* What comes from another's queue before that of our own, until so many were taken. */
static bool take_older(struct registration *reg, const struct group *group, uint64_t now_ms)
{
	struct slot_set waiting = waiting_elsewhere(reg, group), first = {0};
	struct balance_queue own = {0};
	unsigned best = 0, most = 0;

	if (slots_empty(&waiting))
		return false;
	for (unsigned s = 0; s < group->slot_count; s++) {
		if (!slot_in(&reg->added, s))
			continue;
		struct balance_queue queue = queue_of(group, s);
		own.length += queue.length;
		own.rate += queue.rate;
	}
	for (unsigned s = 0; s < group->slot_count; s++) {
		if (!slot_in(&waiting, s))
			continue;
		unsigned older = balance_older(own, queue_of(group, s));
		if (older <= most)
			continue;
		most = older;
		best = s;
	}
	if (most)
		most = most_of(reg, group, best, 2 * (int)most - 1, now_ms);
	if (!most || !ready_add((struct ready_member){.group = (uint16_t)group_number(group),
						      .slot = (uint16_t)best,
						      .edge = true,
						      .most = (uint8_t)most}))
		return false;
	slot_add(&first, best);
	return ready_prefer((uint16_t)group_number(group), &first);
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

static bool is_among(const struct epoll_event *events, int count, uint64_t data)
{
	for (int i = 0; i < count; i++)
		if (events[i].data.u64 == data)
			return true;
	return false;
}

int steal_even(struct watch *watch, uint64_t now_ms, struct epoll_event *events, int count, int max)
{
	if (__builtin_expect(!watch->is_busy, 1) || now_ms - watch->evened_ms < LOOK_MS)
		return count;
	watch->evened_ms = now_ms;
	for (struct registration *reg = watch->first; reg; reg = reg->next) {
		struct group *group = reg->present ? listener_group(reg->listener) : NULL;
		if (!group || !takes_part(reg, group) || !balance_is_busy(&reg->balance) ||
		    !take_older(reg, group, now_ms))
			continue;
		if (count < max && !is_among(events, count, reg->data))
			events[count++] =
				(struct epoll_event){.events = EPOLLIN, .data.u64 = reg->data};
	}
	return count;
}

void steal_count_shifted(const struct group *group, unsigned slot, int accepted)
{
	static __thread unsigned accepts;
	const struct ledger *ledger = group->ledger;

	if (++accepts % SHIFTED_EACH)
		return;
	int cpu = socket_incoming_cpu(accepted);
	for (unsigned s = 0; s < group->slot_count; s++)
		for (unsigned p = 0; s != slot && ledger->slot_cpu[s] == cpu && p < SHIFT_PARTS;
		     p++)
			if (shift_target(ledger->shift.slot[s].parts, s, p) == slot) {
				stat_add(STAT_BALANCE_STEERED, SHIFTED_EACH);
				return;
			}
}
