#include "shim/group/steal.h"
#include "shim/group/listener.h"
#include "shim/group/mailbox.h"
#include "shim/group/ready.h"
#include "shim/group/watch_state.h"
#include "shim/kernel/clock.h"
#include "shim/kernel/log.h"
#include <netinet/in.h>
#include <netinet/tcp.h>

/* How often one without work looks while the group is busy; and for a while after it found some. */
#define LOOK_MS       4
#define LOOK_AGAIN_MS 1
/* And how often it looks whether the group is busy: while connections come now and then, and where
 * none has come for long. */
#define NOTICE_MS       10
#define NOTICE_QUIET_MS 50
#define QUIET_MS        10000
/* Its worker did not come around for so long: then what waits is not taken from anybody. Workers
 * say so every few milliseconds, see watch.c. */
#define STILL_MS 20
/* To know whether a connection was steered elsewhere takes a system call: one in so many is asked,
 * and stands for all of them. */
#define SHIFTED_EACH 8

/* Connections in a slot's queue (of a listening socket: tcp_get_info). */
static uint32_t queue_length(const struct group *group, unsigned slot)
{
	struct tcp_info info = {0};
	socklen_t length = sizeof(info);

	if (ledger_hands_over(group->ledger)) {
		int letters = mailbox_length(group, slot);
		return letters > 0 ? (uint32_t)letters : 0;
	}
	if (socket_get(group->member[slot], IPPROTO_TCP, TCP_INFO, &info, &length) < 0)
		return 0;
	return info.tcpi_unacked;
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

/* A slot's queue at this moment. */
struct queue {
	struct queue_age *age;
	uint32_t now_ms, taken;
};

/* Notes how many came, unless somebody has just done so. */
static struct queue look_at(const struct group *group, unsigned slot, uint32_t now_ms)
{
	struct ledger *ledger = group->ledger;
	struct queue queue = {.age = &ledger->age[slot],
			      .now_ms = now_ms,
			      .taken =
				      load(&ledger->local[slot].taken) + load(&ledger->lost[slot])};

	if (queue_age_is_due(queue.age, now_ms, queue.taken))
		queue_age_note(queue.age, now_ms, queue.taken + queue_length(group, slot));
	return queue;
}

static uint32_t length_of(struct queue queue)
{
	return queue_age_length(queue.age, queue.taken);
}

static uint32_t age_of(struct queue queue)
{
	return queue_age_of(queue.age, queue.now_ms, queue.taken);
}

static uint32_t came_to(const struct group *group, uint32_t now_ms)
{
	uint32_t sum = 0;

	for (unsigned s = 0; s < group->slot_count; s++) {
		struct queue queue = look_at(group, s, now_ms);
		sum += queue.taken + length_of(queue);
	}
	return sum;
}

/* The longest queue of others that is for us, too; -1: none. */
static int find_queue(const struct registration *reg, const struct group *group, uint64_t now_ms,
		      uint32_t *length)
{
	int best = -1;

	*length = 0;
	for (unsigned s = 0; s < group->slot_count; s++) {
		if (slot_in(&reg->added, s))
			continue;
		struct queue queue = look_at(group, s, (uint32_t)now_ms);
		uint32_t now = length_of(queue);
		if (now <= *length)
			continue;
		bool is_still = !ledger_moves(group->ledger, s, now_ms, STILL_MS);
		if (!balance_is_long(now, age_of(queue), is_still))
			continue;
		*length = now;
		best = (int)s;
	}
	return best;
}

/* How many of count this worker may take now. */
static unsigned most_of(struct registration *reg, const struct group *group, unsigned slot,
			uint32_t count, uint64_t now_ms)
{
	bool is_still = !ledger_moves(group->ledger, slot, now_ms, STILL_MS);
	unsigned allowed = balance_allow(&reg->balance, steal_ratio(), is_still, local_of(group),
					 stolen_of(group));

	return allowed < count ? allowed : count;
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
		balance_follow(&reg->balance, now_ms, came_to(group, (uint32_t)now_ms),
			       local_of(group), stolen_of(group));
		watch->takes_part = true;
		watch->is_busy |= balance_is_busy(&reg->balance);
		if (reg->balance.rate)
			watch->came_ms = now_ms;
		if (follow_shift(group, now_ms))
			watch->next_ms = 0; /* to tell the kernel */
	}
}

static int look_again_ms(const struct watch *watch, uint64_t now_ms)
{
	if (now_ms - watch->found_ms < BALANCE_WINDOW_MS)
		return LOOK_AGAIN_MS;
	if (watch->is_busy)
		return LOOK_MS;
	return now_ms - watch->came_ms < QUIET_MS ? NOTICE_MS : NOTICE_QUIET_MS;
}

int steal_slice(struct watch *watch, int slice_ms)
{
	if (__builtin_expect(!steal_ratio(), 1))
		return slice_ms;
	uint64_t now_ms = clock_exact_ms();
	follow(watch, now_ms);
	if (!watch->takes_part)
		return slice_ms;
	if (watch->is_busy && watch->is_hot)
		return 0;
	int most_ms = look_again_ms(watch, now_ms);
	return slice_ms < most_ms ? slice_ms : most_ms;
}

static bool steal_from(struct registration *reg, const struct group *group, uint64_t now_ms)
{
	uint32_t length;
	int slot = find_queue(reg, group, now_ms, &length);
	unsigned most = slot < 0 ? 0 : most_of(reg, group, (unsigned)slot, length / 2 + 1, now_ms);

	return most && ready_add((struct ready_member){.group = (uint16_t)group_number(group),
						       .slot = (uint16_t)slot,
						       .most = (uint8_t)most});
}

/* What comes from another's queue before that of our own, until so many were taken. */
static bool take_older(struct registration *reg, const struct group *group, uint64_t now_ms)
{
	struct slot_set first = {0};
	unsigned best = 0;
	uint32_t own_ms = 0, oldest_ms = 0, count = 0;

	for (unsigned s = 0; s < group->slot_count; s++) {
		if (!slot_in(&reg->added, s))
			continue;
		uint32_t age_ms = age_of(look_at(group, s, (uint32_t)now_ms));
		if (age_ms > own_ms)
			own_ms = age_ms;
	}
	uint32_t older_ms = balance_older_ms(own_ms);
	for (unsigned s = 0; s < group->slot_count; s++) {
		if (slot_in(&reg->added, s))
			continue;
		struct queue queue = look_at(group, s, (uint32_t)now_ms);
		uint32_t age_ms = age_of(queue);
		if (age_ms < older_ms || age_ms <= oldest_ms)
			continue;
		oldest_ms = age_ms;
		best = s;
		count = queue_age_older(queue.age, queue.now_ms, queue.taken, older_ms);
	}
	unsigned most = count ? most_of(reg, group, best, count, now_ms) : 0;
	if (!most || !ready_add((struct ready_member){.group = (uint16_t)group_number(group),
						      .slot = (uint16_t)best,
						      .edge = true,
						      .most = (uint8_t)most}))
		return false;
	slot_add(&first, best);
	return ready_prefer((uint16_t)group_number(group), &first);
}

int steal_look(struct watch *watch, struct epoll_event *events, int max)
{
	int count = 0;

	if (__builtin_expect(!steal_ratio(), 1))
		return 0;
	uint64_t now_ms = clock_exact_ms();
	follow(watch, now_ms);
	if (!watch->is_busy)
		return 0;
	for (struct registration *reg = watch->first; reg && count < max; reg = reg->next) {
		struct group *group = reg->present ? listener_group(reg->listener) : NULL;
		if (group && takes_part(reg, group) && balance_is_busy(&reg->balance) &&
		    steal_from(reg, group, now_ms))
			events[count++] =
				(struct epoll_event){.events = EPOLLIN, .data.u64 = reg->data};
	}
	watch->is_hot = count;
	if (count)
		watch->found_ms = now_ms;
	return count;
}

static bool is_among(const struct epoll_event *events, int count, uint64_t data)
{
	for (int i = 0; i < count; i++)
		if (events[i].data.u64 == data)
			return true;
	return false;
}

int steal_even(struct watch *watch, struct epoll_event *events, int count, int max)
{
	if (__builtin_expect(!watch->is_busy, 1))
		return count;
	uint64_t now_ms = clock_exact_ms();
	if (now_ms == watch->evened_ms)
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
