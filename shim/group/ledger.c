#include "shim/group/ledger.h"
#include "shim/kernel/shared_memory.h"
#include "shim/kernel/sys.h"
#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

#define LEDGER_MAGIC 0x52535367u /* "RSSg" */

int ledger_create(struct ledger **ledger, uint32_t owner_uid, unsigned slot_count,
		  const uint16_t *slot_cpu)
{
	void *at;
	int fd = shared_memory_make("rssshim-ledger", sizeof(**ledger), &at);

	if (fd < 0)
		return fd;
	struct ledger *l = *ledger = at;
	l->magic = LEDGER_MAGIC;
	l->abi = LEDGER_ABI;
	l->size = sizeof(*l);
	l->owner_uid = owner_uid;
	l->slot_count = slot_count;
	memcpy(l->slot_cpu, slot_cpu, slot_count * sizeof(*slot_cpu));
	l->generation = 1;
	l->common_base = slot_count;
	l->common_count = 1;
	return fd;
}

int ledger_map(int fd, struct ledger **ledger)
{
	void *at;
	int ret = shared_memory_map(fd, sizeof(**ledger), &at);

	if (ret)
		return ret;
	struct ledger *l = *ledger = at;
	if (l->magic == LEDGER_MAGIC && l->abi == LEDGER_ABI && l->size == sizeof(*l) &&
	    (l->slot_count || l->rung == RUNG_HAND_OVER) && l->slot_count <= SLOTS_MAX &&
	    l->rung <= RUNG_HAND_OVER)
		return 0;
	ledger_unmap(l);
	return -EPROTO;
}

void ledger_unmap(struct ledger *ledger)
{
	sys(SYS_munmap, ledger, sizeof(*ledger));
}

/* Stores what differs. */
static bool set32(_Atomic uint32_t *place, uint32_t value)
{
	if (*place == value)
		return false;
	*place = value;
	return true;
}

void ledger_set_nics(struct ledger *ledger, unsigned count, const uint32_t *ifindex,
		     const cpu_set_t *arrivals)
{
	bool changed = false;

	if (count > STEER_NICS_MAX)
		count = STEER_NICS_MAX;
	for (unsigned i = 0; i < count; i++)
		changed |= set32(&ledger->nic_ifindex[i], ifindex[i]);
	changed |= set32(&ledger->nic_count, count);
	for (unsigned w = 0; w < CPU_SETSIZE / 64; w++) {
		uint64_t bits = 0;
		for (unsigned b = 0; b < 64; b++)
			bits |= (uint64_t) !!CPU_ISSET(w * 64 + b, arrivals) << b;
		changed |= ledger->arrivals[w] != bits;
		ledger->arrivals[w] = bits;
	}
	if (changed)
		ledger_changed(ledger);
}

static struct slot_set home_of(const struct ledger_watch *watch)
{
	struct slot_set home;

	for (int w = 0; w < SLOTS_WORDS; w++)
		home.word[w] = watch->home[w];
	return home;
}

struct ledger_claim ledger_claim(struct ledger *ledger, struct ledger_thread thread)
{
	for (int i = 0; i < LEDGER_WATCHES_MAX; i++) {
		struct ledger_watch *watch = &ledger->watch[i];
		uint32_t free = LEDGER_WATCH_FREE;

		if (!atomic_compare_exchange_strong(&watch->state, &free, LEDGER_WATCH_CLAIMED))
			continue;
		uint32_t claim = atomic_fetch_add(&watch->claim, 1) + 1;
		watch->pid_space = thread.pid_space;
		watch->pid = thread.pid;
		watch->tid = thread.tid;
		watch->moved_ms = 0;
		for (int w = 0; w < SLOTS_WORDS; w++)
			watch->home[w] = 0;
		watch->state = LEDGER_WATCH_LIVE;
		return (struct ledger_claim){.watch = i, .claim = claim};
	}
	return (struct ledger_claim){.watch = -1};
}

static struct ledger_watch *claimed(struct ledger *ledger, struct ledger_claim claim)
{
	struct ledger_watch *watch;

	if (claim.watch < 0 || claim.watch >= LEDGER_WATCHES_MAX)
		return NULL;
	watch = &ledger->watch[claim.watch];
	return watch->state != LEDGER_WATCH_FREE && watch->claim == claim.claim ? watch : NULL;
}

void ledger_release(struct ledger *ledger, struct ledger_claim claim)
{
	struct ledger_watch *watch = claimed(ledger, claim);

	if (!watch)
		return;
	watch->state = LEDGER_WATCH_FREE;
	ledger_changed(ledger);
}

void ledger_moved(struct ledger *ledger, struct ledger_claim claim, uint64_t now_ms)
{
	struct ledger_watch *watch = claimed(ledger, claim);

	if (watch)
		atomic_store_explicit(&watch->moved_ms, now_ms, memory_order_relaxed);
}

bool ledger_report(struct ledger *ledger, struct ledger_claim claim, int tid,
		   const struct slot_set *home, uint64_t now_ms)
{
	struct ledger_watch *watch = claimed(ledger, claim);

	if (!watch)
		return false;
	watch->moved_ms = now_ms;
	if (watch->tid != tid)
		watch->tid = tid;
	struct slot_set had = home_of(watch);
	if (slots_equal(&had, home) && watch->state == LEDGER_WATCH_LIVE)
		return true;
	for (int w = 0; w < SLOTS_WORDS; w++)
		watch->home[w] = home->word[w];
	watch->state = LEDGER_WATCH_LIVE;
	ledger_changed(ledger);
	return true;
}

void ledger_watched(const struct ledger *ledger, struct slot_set *watched)
{
	*watched = (struct slot_set){0};
	for (int i = 0; i < LEDGER_WATCHES_MAX; i++) {
		if (ledger->watch[i].state != LEDGER_WATCH_LIVE)
			continue;
		struct slot_set home = home_of(&ledger->watch[i]);
		slots_join(watched, &home);
	}
}

void ledger_steer_input(const struct ledger *ledger, struct steer_input *input)
{
	unsigned count = ledger->slot_count;

	input->slot_count = count <= SLOTS_MAX ? count : 0;
	for (unsigned s = 0; s < input->slot_count; s++)
		input->slot_cpu[s] = ledger->slot_cpu[s] % CPU_SETSIZE;
	CPU_ZERO(&input->arrivals);
	for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (ledger->arrivals[cpu / 64] >> (cpu % 64) & 1)
			CPU_SET(cpu, &input->arrivals);
	input->watched = (struct slot_set){0};
	if (ledger_is_steering(ledger))
		ledger_watched(ledger, &input->watched);
	for (unsigned s = 0; s < input->slot_count; s++)
		input->parts[s] = ledger->shift.slot[s].parts;
}

void ledger_gate(const struct ledger *ledger, struct steer_gate *gate)
{
	unsigned count = ledger->nic_count, common = ledger->common_count;

	gate->nic_count = count <= STEER_NICS_MAX ? count : 0;
	for (unsigned i = 0; i < gate->nic_count; i++)
		gate->ifindex[i] = ledger->nic_ifindex[i];
	gate->member_base = ledger->member_base;
	gate->common_base = ledger->common_base;
	gate->common_count = common ? common : 1;
}

bool ledger_moves(const struct ledger *ledger, unsigned slot, uint64_t now_ms, unsigned within_ms)
{
	for (int i = 0; i < LEDGER_WATCHES_MAX; i++) {
		const struct ledger_watch *watch = &ledger->watch[i];
		if (watch->state == LEDGER_WATCH_LIVE &&
		    watch->home[slot / 64] >> (slot % 64) & 1 &&
		    now_ms < watch->moved_ms + within_ms)
			return true;
	}
	return false;
}

static bool holds_waiting(const struct ledger_watch *watch, const struct slot_set *waiting)
{
	struct slot_set home = home_of(watch);
	uint64_t both = 0;

	for (int w = 0; w < SLOTS_WORDS; w++)
		both |= home.word[w] & waiting->word[w];
	return both;
}

static uint64_t still_for(const struct ledger_watch *watch, uint64_t now_ms)
{
	uint64_t moved = watch->moved_ms;

	return now_ms > moved ? now_ms - moved : 0;
}

static bool is_gone(const struct ledger_watch *watch, uint64_t now_ms,
		    const struct ledger_eyes *eyes)
{
	if (watch->pid_space != eyes->pid_space)
		return still_for(watch, now_ms) >= LEDGER_GONE_MS;
	return !eyes->lives(watch->pid, watch->tid);
}

/* In how many milliseconds a worker will have to be taken for stuck, unless it moves: 0 now. */
static unsigned until_stuck(const struct ledger_watch *watch, uint64_t now_ms,
			    const struct ledger_eyes *eyes)
{
	uint64_t still = still_for(watch, now_ms);

	if (still < LEDGER_RESTS_MS)
		return (unsigned)(LEDGER_RESTS_MS - still);
	if (still >= LEDGER_RUNS_MS)
		return 0;
	if (watch->pid_space == eyes->pid_space && !eyes->runs(watch->pid, watch->tid))
		return 0;
	return (unsigned)(LEDGER_RUNS_MS - still);
}

struct slot_set ledger_check(struct ledger *ledger, const struct slot_set *waiting, uint64_t now_ms,
			     const struct ledger_eyes *eyes, unsigned *again_ms)
{
	struct slot_set watched, lost = {0}, left = *waiting;
	bool changed = false;

	*again_ms = LEDGER_LOOK_MS;
	for (int i = 0; i < LEDGER_WATCHES_MAX; i++) {
		struct ledger_watch *watch = &ledger->watch[i];
		uint32_t state = watch->state, next = state;

		if (state != LEDGER_WATCH_LIVE && state != LEDGER_WATCH_STUCK)
			continue;
		if (is_gone(watch, now_ms, eyes)) {
			next = LEDGER_WATCH_FREE;
		} else if (state == LEDGER_WATCH_LIVE && holds_waiting(watch, waiting)) {
			unsigned left_ms = until_stuck(watch, now_ms, eyes);
			if (!left_ms)
				next = LEDGER_WATCH_STUCK;
			else if (left_ms < *again_ms)
				*again_ms = left_ms;
		}
		if (next == state)
			continue;
		struct slot_set home = home_of(watch);
		/* Its own thread may be changing it right now: then that holds. */
		if (!atomic_compare_exchange_strong(&watch->state, &state, next))
			continue;
		changed = true;
		if (state == LEDGER_WATCH_LIVE)
			slots_join(&lost, &home);
	}
	if (changed)
		ledger_changed(ledger);
	ledger_watched(ledger, &watched);
	for (int w = 0; w < SLOTS_WORDS; w++)
		left.word[w] &= ~watched.word[w] | lost.word[w];
	return left;
}
