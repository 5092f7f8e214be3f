#include "shim/group/deal.h"
#include "shim/decide/turns.h"
#include "shim/group/ready.h"
#include "shim/group/watch.h"
#include "shim/kernel/log.h"
#include "shim/kernel/sys.h"
#include "shim/process/pinning.h"
#include "shim/process/runtime.h"
#include "shim/process/self.h"
#include <errno.h>
#include <stddef.h>
#include <string.h>

#define DEALERS_MAX 16
/* A thread that added so many in a row itself deals to nobody: others may have its place. */
#define OWN_MAX 32
/* It is asked for anew so many connections later. */
#define REST 1024

/* The word of an accepted descriptor. */
#define WORD_DEALT   0x80000000u
#define DEALER_SHIFT 24
#define NUMBER_MASK  0xffffffu

struct worker {
	int tid;
	cpu_set_t cpus;
};

struct dealer {
	_Atomic uint32_t epoch; /* process whose thread it is; 0: none */
	_Atomic int tid;
	_Atomic uint32_t own; /* taken by itself, in a row */
	struct turns turns;
	unsigned worker_count;
	struct worker worker[TURNS_PERIOD_MAX];
};

static struct dealer dealers[DEALERS_MAX];

__thread struct deal_here deal_here;

static struct dealer *begin(struct dealer *dealer)
{
	memset(&dealer->turns, 0, sizeof(dealer->turns));
	dealer->tid = self_tid();
	dealer->own = 0;
	dealer->worker_count = 0;
	return dealer;
}

/* NULL: none is left. */
static struct dealer *dealer_new(uint32_t epoch)
{
	for (int i = 0; i < DEALERS_MAX; i++) {
		uint32_t before = dealers[i].epoch;
		/* In a child of a fork its parent's are free. */
		if (before != epoch &&
		    atomic_compare_exchange_strong(&dealers[i].epoch, &before, epoch))
			return begin(&dealers[i]);
	}
	for (int i = 0; i < DEALERS_MAX; i++) {
		int tid = dealers[i].tid;
		if (sys(SYS_tgkill, self_pid(), tid, 0) == -ESRCH &&
		    atomic_compare_exchange_strong(&dealers[i].tid, &tid, self_tid()))
			return begin(&dealers[i]);
	}
	return NULL;
}

static struct dealer *dealer_of_thread(void)
{
	return deal_here.epoch == self_epoch() ? deal_here.dealer : NULL;
}

static struct worker *find_worker(struct dealer *dealer, int tid)
{
	for (unsigned i = 0; i < dealer->worker_count; i++)
		if (dealer->worker[i].tid == tid)
			return &dealer->worker[i];
	return NULL;
}

static void look_at_worker(struct worker *worker)
{
	CPU_ZERO(&worker->cpus);
	sys(SYS_sched_getaffinity, worker->tid, sizeof(worker->cpus), &worker->cpus);
}

static bool deals_to_itself(const struct dealer *dealer)
{
	for (unsigned place = 0; place < dealer->turns.period; place++)
		if (dealer->turns.taker[place] == dealer->tid)
			return true;
	return false;
}

/* An order with other workers than before was learned. */
static void meet_workers(struct dealer *dealer)
{
	const struct turns *turns = &dealer->turns;

	if (!deals_to_itself(dealer))
		pinning_release();
	dealer->worker_count = 0;
	for (unsigned place = 0; place < turns->period; place++) {
		if (find_worker(dealer, turns->taker[place]))
			continue;
		struct worker *worker = &dealer->worker[dealer->worker_count++];
		worker->tid = turns->taker[place];
		look_at_worker(worker);
	}
	log_info("thread %d deals connections out to %u threads in turn", dealer->tid,
		 dealer->worker_count);
	/* Its registrations get the workers' members at the next wait. */
	watch_thread_moved();
}

/* The worker that takes the next one, NULL if that is not known. */
static const struct worker *next_worker(struct dealer *dealer)
{
	int tid = turns_next(&dealer->turns);

	if (!tid)
		return NULL;
	const struct worker *worker = find_worker(dealer, tid);
	if (worker)
		return worker;
	meet_workers(dealer);
	return find_worker(dealer, tid);
}

static struct dealer *dealer_here(void)
{
	uint32_t epoch = self_epoch();

	if (deal_here.epoch != epoch) {
		deal_here.wanted =
			runtime_policy()->migrate_mode != MIGRATE_OFF && !self_is_borrowed();
		deal_here.dealer = NULL;
		deal_here.rest = 0;
		deal_here.epoch = epoch;
	}
	if (deal_here.dealer && deal_here.dealer->own >= OWN_MAX) {
		deal_here.dealer->epoch = 0;
		deal_here.dealer = NULL;
		deal_here.rest = REST;
	}
	if (deal_here.dealer || !deal_here.wanted)
		return deal_here.dealer;
	if (deal_here.rest) {
		deal_here.rest--;
		return NULL;
	}
	deal_here.dealer = dealer_new(epoch);
	deal_here.rest = deal_here.dealer ? 0 : REST;
	return deal_here.dealer;
}

uint32_t deal_accepted_slowly(void)
{
	struct dealer *dealer = dealer_here();

	if (!dealer)
		return 0;
	return WORD_DEALT | (uint32_t)(dealer - dealers) << DEALER_SHIFT |
	       (turns_deal(&dealer->turns) & NUMBER_MASK);
}

void deal_taken_slowly(int fd, struct fd_word word)
{
	struct dealer *dealer = &dealers[(word.value & ~WORD_DEALT) >> DEALER_SHIFT];
	uint32_t dealt = dealer->turns.dealt;
	int tid = self_tid();

	if (!fd_swap(fd, word, FD_PLAIN, 0) || dealer->epoch != self_epoch())
		return;
	turns_take(&dealer->turns, dealt - ((dealt - word.value) & NUMBER_MASK), tid);
	if (tid != dealer->tid)
		dealer->own = 0;
	else
		dealer->own++;
}

void deal_order_slowly(const struct group *group)
{
	struct dealer *dealer = dealer_of_thread();
	const struct worker *worker = dealer ? next_worker(dealer) : NULL;

	if (!worker)
		return;
	uint16_t number = (uint16_t)group_number(group);
	struct slot_set home = group_home(group, &worker->cpus);
	if (ready_prefer(number, &home))
		return;
	/* Where accept() is called until it has nothing more, some came after the wait. */
	for (unsigned s = 0; s < group->slot_count; s++)
		if (slot_in(&home, s))
			ready_add((struct ready_member){.group = number, .slot = (uint16_t)s});
	ready_prefer(number, &home);
}

void deal_join_homes(const struct group *group, struct slot_set *home)
{
	struct dealer *dealer = dealer_of_thread();

	for (unsigned i = 0; dealer && i < dealer->worker_count; i++) {
		look_at_worker(&dealer->worker[i]);
		struct slot_set slots = group_home(group, &dealer->worker[i].cpus);
		slots_join(home, &slots);
	}
}
