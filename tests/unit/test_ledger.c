/* The ledger: claims and who loses them, what counts as dead and stuck, memory in which anything
 * may stand, and changes by several threads at once. */
#include "shim/group/ledger.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOTS       4
#define OUR_SPACE   100
#define OTHER_SPACE 200

static struct ledger *ledger;
static int ledger_fd;
static int dead_pid;    /* of whom lives() says that they are gone */
static int running_pid; /* of whom runs() says that they do */
static uint64_t now;
static unsigned again_ms; /* of the last look */

static bool lives(int pid, int tid)
{
	(void)tid;
	return pid != dead_pid;
}

static bool runs(int pid, int tid)
{
	(void)tid;
	return pid == running_pid;
}

static struct slot_set slots(int first, int second)
{
	struct slot_set set = {0};

	if (first >= 0)
		slot_add(&set, (unsigned)first);
	if (second >= 0)
		slot_add(&set, (unsigned)second);
	return set;
}

static const struct slot_set none;

static void start(void)
{
	static const uint16_t cpus[SLOTS] = {4, 2, 9, 700};

	dead_pid = running_pid = 0;
	now = 1000000;
	ledger_fd = ledger_create(&ledger, 33, SLOTS, cpus);
	cr_assert_geq(ledger_fd, 0);
}

static struct ledger_claim claim_as(int pid, int tid)
{
	return ledger_claim(ledger, (struct ledger_thread){OUR_SPACE, pid, tid});
}

static struct ledger_claim worker_of(uint32_t pid_space, int pid, int slot)
{
	struct slot_set home = slots(slot, -1);
	struct ledger_claim claim =
		ledger_claim(ledger, (struct ledger_thread){pid_space, pid, pid});

	cr_assert_geq(claim.watch, 0);
	cr_assert(ledger_report(ledger, claim, pid, &home, now));
	return claim;
}

static struct ledger_claim worker(int pid, int slot)
{
	return worker_of(OUR_SPACE, pid, slot);
}

static bool is_watched(unsigned slot)
{
	struct slot_set watched;

	ledger_watched(ledger, &watched);
	return slot_in(&watched, slot);
}

static struct slot_set look(struct slot_set waiting)
{
	static const struct ledger_eyes eyes = {
		.pid_space = OUR_SPACE, .lives = lives, .runs = runs};

	return ledger_check(ledger, &waiting, now, &eyes, &again_ms);
}

TestSuite(ledger, .init = start);

Test(ledger, fresh)
{
	struct steer_input input;
	struct steer_gate gate;

	ledger_steer_input(ledger, &input);
	cr_expect_eq(input.slot_count, SLOTS);
	cr_expect_eq(input.slot_cpu[3], 700);
	cr_expect(slots_empty(&input.watched));
	ledger_gate(ledger, &gate);
	cr_expect_eq(gate.nic_count, 0);
	cr_expect_eq(gate.member_base, 0);
	cr_expect_eq(gate.common_base, SLOTS, "members listen before the application's socket");
	cr_expect_eq(gate.common_count, 1);
	cr_expect_neq(ledger->generation, ledger->attached, "there is something to publish");
}

Test(ledger, the_machine)
{
	const uint32_t interfaces[] = {3, 8};
	uint32_t many[STEER_NICS_MAX + 8] = {0};
	struct steer_input input;
	struct steer_gate gate;
	uint32_t before = ledger->generation;
	cpu_set_t arrivals;

	CPU_ZERO(&arrivals);
	CPU_SET(0, &arrivals);
	CPU_SET(65, &arrivals);
	CPU_SET(1023, &arrivals);
	ledger_set_nics(ledger, 2, interfaces, &arrivals);
	cr_expect_neq(ledger->generation, before);
	ledger_steer_input(ledger, &input);
	ledger_gate(ledger, &gate);
	cr_expect(CPU_EQUAL(&input.arrivals, &arrivals));
	cr_expect_eq(gate.nic_count, 2);
	cr_expect_eq(gate.ifindex[1], 8);
	ledger_set_nics(ledger, STEER_NICS_MAX + 8, many, &arrivals);
	ledger_gate(ledger, &gate);
	cr_expect_eq(gate.nic_count, STEER_NICS_MAX);
}

Test(ledger, claim_report_release)
{
	uint32_t before = ledger->generation;
	struct slot_set home = slots(1, 2);
	struct ledger_claim claim = claim_as(10, 11);

	cr_expect_eq(ledger->generation, before, "a claim alone changes nothing");
	cr_expect(ledger_report(ledger, claim, 11, &home, now));
	cr_expect_neq(ledger->generation, before);
	cr_expect(is_watched(1) && is_watched(2) && !is_watched(0));
	before = ledger->generation;
	for (int i = 0; i < 100; i++)
		cr_assert(ledger_report(ledger, claim, 11, &home, now));
	cr_expect_eq(ledger->generation, before, "nothing new, nothing to publish");
	cr_expect(ledger_report(ledger, claim, 12, &home, now), "another thread waits there now");
	cr_expect_eq(ledger->watch[claim.watch].tid, 12);
	home = slots(1, -1);
	ledger_report(ledger, claim, 12, &home, now);
	cr_expect(!is_watched(2));
	before = ledger->generation;
	ledger_release(ledger, claim);
	cr_expect_neq(ledger->generation, before);
	cr_expect(!is_watched(1));
	cr_expect(!ledger_report(ledger, claim, 12, &home, now), "no longer its own");
	cr_expect(!is_watched(1));
}

Test(ledger, two_workers_of_one_slot)
{
	struct ledger_claim first = worker(10, 0);

	worker(20, 0);
	ledger_release(ledger, first);
	cr_expect(is_watched(0));
}

Test(ledger, all_claimed)
{
	struct ledger_claim claim = {.watch = -1};
	struct slot_set home = slots(0, -1);

	for (int i = 0; i < LEDGER_WATCHES_MAX; i++)
		claim = worker(100 + i, 0);
	struct ledger_claim more = claim_as(1, 1);
	cr_expect_eq(more.watch, -1);
	cr_expect(!ledger_report(ledger, more, 1, &home, now));
	ledger_release(ledger, more);
	ledger_release(ledger, claim);
	cr_expect_eq(claim_as(1, 1).watch, claim.watch);
}

Test(ledger, a_lost_claim_stays_lost)
{
	struct slot_set home = slots(0, -1);
	struct ledger_claim old = worker(10, 0);

	dead_pid = 10; /* as one of another pid name space looks */
	look(none);
	cr_expect(!is_watched(0));
	struct ledger_claim young = worker(20, 1);
	cr_expect_eq(young.watch, old.watch);
	cr_expect(!ledger_report(ledger, old, 10, &home, now));
	ledger_release(ledger, old);
	cr_expect(is_watched(1), "the release of who lost it means nothing");
	cr_expect_eq(ledger->watch[young.watch].tid, 20);
}

Test(ledger, the_dead)
{
	worker(10, 0);
	worker(20, 1);
	uint32_t before = ledger->generation;
	dead_pid = 20;
	struct slot_set left = look(slots(1, -1));
	cr_expect(slot_in(&left, 1), "what waits there is for whoever looks");
	cr_expect(is_watched(0) && !is_watched(1));
	cr_expect_neq(ledger->generation, before, "to be published");
	before = ledger->generation;
	look(none);
	cr_expect_eq(ledger->generation, before);
}

/* It may be the one that was woken up for what waits there; its sibling sleeps. */
Test(ledger, one_of_two_dies_or_gets_stuck)
{
	worker(10, 0);
	worker(20, 0);
	struct slot_set left = look(slots(0, -1));
	cr_expect(slots_empty(&left), "they come around");
	dead_pid = 20;
	left = look(slots(0, 1));
	cr_expect(slot_in(&left, 0) && slot_in(&left, 1));
	left = look(slots(0, -1));
	cr_expect(slots_empty(&left), "said once");

	struct ledger_claim stuck = worker(30, 0), moves = worker(40, 0);
	now += LEDGER_RUNS_MS;
	ledger_moved(ledger, moves, now);
	left = look(none);
	cr_expect(slots_empty(&left));
	left = look(slots(0, -1));
	cr_expect(slot_in(&left, 0) && is_watched(0));
	cr_expect_eq(ledger->watch[stuck.watch].state, LEDGER_WATCH_STUCK);
	left = look(slots(0, -1));
	cr_expect(slots_empty(&left), "said once");
}

Test(ledger, a_real_death)
{
	int pid = fork();

	if (!pid) {
		worker(getpid(), 2);
		pause();
	}
	while (!is_watched(2))
		usleep(1000);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	dead_pid = pid;
	look(none);
	cr_expect(!is_watched(2));
}

Test(ledger, the_stuck)
{
	struct slot_set home = slots(0, -1), left;
	struct ledger_claim stuck = worker(10, 0), other = worker(20, 1);

	left = look(slots(0, -1));
	cr_expect(slots_empty(&left) && is_watched(0), "it has just moved");
	now += LEDGER_LOOK_MS;
	ledger_moved(ledger, other, now);
	left = look(slots(0, -1));
	cr_expect(slots_empty(&left) && is_watched(0), "not yet");
	cr_expect_eq(again_ms, LEDGER_RESTS_MS - LEDGER_LOOK_MS);
	uint32_t before = ledger->generation;
	now += again_ms;
	left = look(slots(0, -1));
	cr_expect(slot_in(&left, 0) && !is_watched(0), "rests elsewhere");
	cr_expect(is_watched(1));
	cr_expect_neq(ledger->generation, before);
	cr_expect_eq(again_ms, LEDGER_LOOK_MS);
	left = look(slots(0, -1));
	cr_expect(slot_in(&left, 0), "still");

	before = ledger->generation;
	cr_expect(ledger_report(ledger, stuck, 10, &home, now), "and back");
	cr_expect(is_watched(0));
	cr_expect_neq(ledger->generation, before);
	left = look(slots(0, -1));
	cr_expect(slots_empty(&left) && is_watched(0));
}

/* One that is kept from its CPU, or in an endless loop: nothing tells the two apart but time. */
Test(ledger, runs_but_does_not_come_around)
{
	struct slot_set left;

	running_pid = 10;
	worker(10, 0);
	now += LEDGER_RESTS_MS + 1;
	left = look(slots(0, -1));
	cr_expect(slots_empty(&left) && is_watched(0), "busy");
	cr_expect_eq(again_ms, LEDGER_RUNS_MS - LEDGER_RESTS_MS - 1);
	now += again_ms;
	left = look(slots(0, -1));
	cr_expect(slot_in(&left, 0) && !is_watched(0), "too long for anybody to wait");
}

/* Whatever a worker does and whenever a connection comes to it: stuck, it is found within the
 * second, with what finding it takes to spare; before its time, never. */
Test(ledger, found_in_time)
{
	for (int running = 0; running < 2; running++) {
		for (unsigned arrives = 0; arrives < 2000; arrives += 7) {
			running_pid = running ? 10 : 0;
			struct ledger_claim claim = worker(10, 0);
			uint64_t start = now, due = now + arrives % LEDGER_LOOK_MS;
			while (is_watched(0)) {
				now = due;
				look(now >= start + arrives ? slots(0, -1) : none);
				due = now + again_ms;
				cr_assert_leq(now - start, arrives + 920);
			}
			cr_expect_geq(now - start, running ? LEDGER_RUNS_MS : LEDGER_RESTS_MS);
			ledger_release(ledger, claim);
		}
	}
}

/* A clock of another time name space may be behind. */
Test(ledger, moved_in_the_future)
{
	worker(10, 0);
	now -= 5000;
	look(slots(0, -1));
	cr_expect(is_watched(0));
}

Test(ledger, busy_is_not_stuck)
{
	struct slot_set home = slots(0, -1);
	struct ledger_claim claim = worker(10, 0);

	for (int i = 0; i < 10; i++) {
		look(slots(0, -1));
		now += LEDGER_LOOK_MS;
		ledger_report(ledger, claim, 10, &home, now);
	}
	cr_expect(is_watched(0));
}

Test(ledger, idle_is_not_stuck)
{
	worker(10, 0);
	for (int i = 0; i < 10; i++, now += LEDGER_LOOK_MS)
		look(slots(1, 2)); /* others have connections waiting */
	cr_expect(is_watched(0));
}

Test(ledger, the_stuck_who_dies)
{
	worker(10, 0);
	now += LEDGER_RUNS_MS;
	look(slots(0, -1));
	cr_expect(!is_watched(0));
	dead_pid = 10;
	look(slots(0, -1));
	worker(20, 0);
	cr_expect(is_watched(0));
	cr_expect_eq(claim_as(30, 30).watch, 1, "its entry was free again");
}

/* There the number 10 may be anybody, dead or alive. */
Test(ledger, another_pid_space)
{
	struct ledger_claim foreign = worker_of(OTHER_SPACE, 10, 0);

	worker(10, 1);
	dead_pid = 10;
	look(none);
	cr_expect(is_watched(0), "who cannot be asked for is not dead");
	cr_expect_not(is_watched(1));
	now += LEDGER_RUNS_MS - 1;
	look(slots(0, -1));
	cr_expect(is_watched(0), "nor known to rest");
	cr_expect_eq(again_ms, 1);
	now++;
	struct slot_set left = look(slots(0, -1));
	cr_expect(slot_in(&left, 0), "but it is stuck");
	cr_expect_not(is_watched(0));
	struct slot_set home = slots(0, -1);
	cr_expect(ledger_report(ledger, foreign, 10, &home, now), "until it comes around");
	cr_expect(is_watched(0));
	now += LEDGER_GONE_MS - 1;
	look(none);
	cr_expect(is_watched(0), "idle is not gone");
	now++;
	look(none);
	cr_expect_not(is_watched(0), "who never comes around is");
	cr_expect_not(ledger_report(ledger, foreign, 10, &home, now));
}

Test(ledger, aside_and_suspended)
{
	struct steer_input input;

	worker(10, 0);
	ledger->suspended = 1;
	ledger_steer_input(ledger, &input);
	cr_expect(slots_empty(&input.watched));
	ledger->suspended = 0;
	ledger_steer_input(ledger, &input);
	cr_expect(slot_in(&input.watched, 0));
	ledger->stand_aside = 1;
	ledger_steer_input(ledger, &input);
	cr_expect(slots_empty(&input.watched));
}

/* --- what others hand us ---------------------------------------------------------------------- */

Test(ledger, mapped_elsewhere)
{
	struct ledger *again;

	worker(10, 3);
	cr_assert_eq(ledger_map(ledger_fd, &again), 0);
	cr_expect_neq(again, ledger);
	struct slot_set watched;
	ledger_watched(again, &watched);
	cr_expect(slot_in(&watched, 3));
	cr_expect_eq(again->owner_uid, 33);
	ledger_unmap(again);
	cr_expect_lt(ftruncate(ledger_fd, 0), 0, "nobody can take the memory away");
	cr_expect_lt(fcntl(ledger_fd, F_ADD_SEALS, F_SEAL_WRITE), 0, "nor forbid to write it");
}

Test(ledger, not_a_ledger)
{
	struct ledger *other;
	int plain = memfd_create("x", 0), unsealed = memfd_create("x", MFD_ALLOW_SEALING);
	int small = memfd_create("x", MFD_ALLOW_SEALING);
	uint32_t *fields[] = {&ledger->magic, &ledger->abi, &ledger->size, &ledger->slot_count,
			      &ledger->rung};

	cr_expect_lt(ledger_map(-1, &other), 0);
	cr_expect_lt(ledger_map(0, &other), 0);
	cr_assert_eq(ftruncate(plain, sizeof(*ledger)), 0);
	cr_assert_eq(ftruncate(unsealed, sizeof(*ledger)), 0);
	cr_assert_eq(ftruncate(small, 64), 0);
	cr_assert_eq(fcntl(small, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	cr_assert_eq(pwrite(unsealed, ledger, sizeof(*ledger), 0), sizeof(*ledger));
	cr_expect_eq(ledger_map(plain, &other), -EPROTO);
	cr_expect_eq(ledger_map(unsealed, &other), -EPROTO, "could be truncated under us");
	cr_expect_eq(ledger_map(small, &other), -EPROTO);
	cr_assert_eq(fcntl(unsealed, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	cr_expect_eq(ledger_map(unsealed, &other), 0);
	for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		uint32_t was = *fields[i];
		*fields[i] = was ^ 0x10000;
		cr_expect_eq(ledger_map(ledger_fd, &other), -EPROTO, "field %u", i);
		*fields[i] = was;
	}
	ledger->slot_count = 0;
	cr_expect_eq(ledger_map(ledger_fd, &other), -EPROTO);
}

static void expect_sound_program(void)
{
	static struct steer_plan plan;
	static struct sock_filter program[STEER_PROGRAM_MAX + 1];
	struct steer_input input = {.distance = NULL};
	struct steer_gate gate;

	ledger_steer_input(ledger, &input);
	ledger_gate(ledger, &gate);
	cr_assert_leq(input.slot_count, SLOTS_MAX);
	for (unsigned s = 0; s < input.slot_count; s++)
		cr_assert_lt(input.slot_cpu[s], CPU_SETSIZE);
	cr_assert_leq(gate.nic_count, STEER_NICS_MAX);
	cr_assert_gt(gate.common_count, 0);
	memset(program, 0xee, sizeof(program));
	steer_plan_make(&plan, &input);
	unsigned length = steer_program_make(program, &plan, &gate);
	cr_assert(length && length <= STEER_PROGRAM_MAX);
	cr_assert_eq(program[STEER_PROGRAM_MAX].code, 0xeeee);
	for (unsigned e = 0; e < plan.cpu_count; e++)
		cr_assert(plan.entry[e].count);
}

/* Two guard pages around a copy of the ledger, so that what is read beyond it faults. */
static struct ledger *between_guards(void)
{
	size_t size = (sizeof(*ledger) + 4095) / 4096 * 4096;
	char *at = mmap(NULL, size + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	cr_assert_neq((void *)at, MAP_FAILED);
	cr_assert_eq(mprotect(at + 4096, size, PROT_READ | PROT_WRITE), 0);
	return (struct ledger *)(at + 4096 + size - (sizeof(*ledger) + 63) / 64 * 64);
}

Test(ledger, any_memory, .timeout = 60)
{
	struct ledger *sound = ledger;

	ledger = between_guards();
	srand(3);
	for (int round = 0; round < 200; round++) {
		struct slot_set waiting, home;
		uint32_t *words = (uint32_t *)ledger;

		memcpy((void *)ledger, (void *)sound, sizeof(*ledger));
		/* All of it at random, or single words; small numbers get further than large. */
		for (size_t w = 0; w < sizeof(*ledger) / 4; w++)
			if (round % 2 || rand() % 64 == 0)
				words[w] = rand() % 2 ? (uint32_t)rand() % 1024
						      : (uint32_t)rand() << 1;
		if (round % 4 == 3) {
			ledger->slot_count = (uint32_t)rand() % (SLOTS_MAX + 2);
			ledger->stand_aside = ledger->suspended = 0;
			for (int i = 0; i < LEDGER_WATCHES_MAX; i++)
				ledger->watch[i].state = (uint32_t)rand() % 5;
		}
		for (size_t i = 0; i < sizeof(home); i++) {
			((char *)&home)[i] = (char)rand();
			((char *)&waiting)[i] = (char)rand();
		}
		expect_sound_program();
		struct ledger_claim any = {.watch = rand() - RAND_MAX / 2, .claim = 1};
		ledger_report(ledger, any, 1, &home, now);
		ledger_release(ledger, any);
		struct ledger_claim claim = claim_as(1, 1);
		cr_assert(claim.watch >= -1 && claim.watch < LEDGER_WATCHES_MAX);
		ledger_report(ledger, claim, 1, &home, now);
		look(waiting);
		ledger_watched(ledger, &home);
		ledger_release(ledger, claim);
	}
}

/* --- several at once ---------------------------------------------------------------------------
 */

#define CHANGES 20000

/* Joins and leaves all the time, and publishes as group_publish() does. What is "attached" in the
 * end must be what the ledger says. */
static struct steer_input attached;
static pthread_mutex_t kernel = PTHREAD_MUTEX_INITIALIZER;

static void publish(void)
{
	struct steer_input input;
	uint32_t generation;

	if (ledger->attached == ledger->generation)
		return;
	do {
		generation = ledger->generation;
		ledger_steer_input(ledger, &input);
		pthread_mutex_lock(&kernel);
		attached = input;
		pthread_mutex_unlock(&kernel);
		ledger->attached = generation;
	} while (ledger->generation != generation);
}

static void *churn(void *argument)
{
	int number = *(int *)argument;
	struct slot_set home = slots(number, -1), nothing = {0};
	struct ledger_claim claim = {.watch = -1};

	for (int i = 0; i < CHANGES; i++) {
		if (claim.watch < 0)
			claim = claim_as(number + 1, number + 1);
		ledger_report(ledger, claim, number + 1, i % 3 ? &home : &nothing, now);
		publish();
		if (i % 7 == 0) {
			ledger_release(ledger, claim);
			claim.watch = -1;
			publish();
		}
	}
	if (claim.watch < 0)
		claim = claim_as(number + 1, number + 1);
	cr_assert(ledger_report(ledger, claim, number + 1, &home, now));
	publish();
	return NULL;
}

Test(ledger, several_publish, .timeout = 60)
{
	static int numbers[] = {0, 1, 2};
	pthread_t threads[3];

	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 3; i++)
			pthread_create(&threads[i], NULL, churn, &numbers[i]);
		for (int i = 0; i < 3; i++)
			pthread_join(threads[i], NULL);
		cr_assert_eq(ledger->attached, ledger->generation);
		for (unsigned slot = 0; slot < 3; slot++)
			cr_assert(slot_in(&attached.watched, slot), "slot %u is not attached",
				  slot);
		cr_assert(!slot_in(&attached.watched, 3));
		dead_pid = -1;
		for (int pid = 1; pid <= 3; pid++) {
			dead_pid = pid;
			look(none);
		}
	}
}

static void *claim_one(void *argument)
{
	struct ledger_claim *claims = argument;

	for (int i = 0; i < LEDGER_WATCHES_MAX / 2; i++)
		claims[i] = claim_as(1, 1);
	return NULL;
}

Test(ledger, no_entry_is_given_twice)
{
	static struct ledger_claim claims[LEDGER_WATCHES_MAX];
	bool given[LEDGER_WATCHES_MAX] = {0};
	pthread_t other;

	pthread_create(&other, NULL, claim_one, claims);
	claim_one(claims + LEDGER_WATCHES_MAX / 2);
	pthread_join(other, NULL);
	for (int i = 0; i < LEDGER_WATCHES_MAX; i++) {
		cr_assert_geq(claims[i].watch, 0);
		cr_assert(!given[claims[i].watch]);
		given[claims[i].watch] = true;
	}
}
