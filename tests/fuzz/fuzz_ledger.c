/* The ledger that another process of the application wrote anything into. Input: words of eight
 * bytes, the place (4), the value (4); half of them before the readers look, the others one between
 * each two of them. */
#include "shim/group/ledger.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct ledger *ledger;
static struct ledger fresh;
static int descriptor;

static void require(int holds)
{
	if (!holds)
		abort();
}

struct word {
	uint32_t place, value;
};

static const uint8_t *input;
static size_t left;

static void write_one(void)
{
	struct word word;

	if (left < sizeof(word))
		return;
	memcpy(&word, input, sizeof(word));
	input += sizeof(word);
	left -= sizeof(word);
	((volatile uint32_t *)ledger)[word.place % (sizeof(*ledger) / 4)] = word.value;
}

static int distance(const void *context, int cpu, int other)
{
	(void)context;
	require(cpu >= 0 && cpu < CPU_SETSIZE && other >= 0 && other < CPU_SETSIZE);
	return abs(cpu - other);
}

static bool alive(int pid, int tid)
{
	return (pid ^ tid) & 1;
}

/* What the kernel checks before it attaches: it must not be us who wrote past the end. */
static void look_at_program(const struct sock_filter *program, unsigned length)
{
	require(length > 0 && length <= STEER_PROGRAM_MAX && length <= BPF_MAXINSNS);
	for (unsigned i = 0; i < length; i++) {
		unsigned farthest = 0;
		if (BPF_CLASS(program[i].code) == BPF_JMP)
			farthest = BPF_OP(program[i].code) == BPF_JA ? program[i].k
				   : program[i].jt > program[i].jf   ? program[i].jt
								     : program[i].jf;
		require(farthest < length - i - 1 || !farthest);
		require(program[i].code != (BPF_ALU | BPF_MOD | BPF_K) || program[i].k);
	}
	require(BPF_CLASS(program[length - 1].code) == BPF_RET);
}

static void look_at_steering(void)
{
	static struct sock_filter program[STEER_PROGRAM_MAX];
	struct steer_input steer = {.distance = distance};
	struct steer_plan plan;
	struct steer_gate gate;

	ledger_steer_input(ledger, &steer);
	require(steer.slot_count <= SLOTS_MAX);
	write_one();
	steer_plan_make(&plan, &steer);
	require(plan.cpu_count <= STEER_CPUS_MAX && plan.target_count <= STEER_TARGETS_MAX);
	for (unsigned e = 0; e < plan.cpu_count; e++)
		require(plan.entry[e].count &&
			plan.entry[e].first + plan.entry[e].count <= plan.target_count);
	for (unsigned t = 0; t < plan.target_count; t++)
		require(plan.target[t] < steer.slot_count);
	ledger_gate(ledger, &gate);
	require(gate.nic_count <= STEER_NICS_MAX && gate.common_count);
	look_at_program(program, steer_program_make(program, &plan, &gate));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint16_t cpus[] = {0, 1, 2, 3, 64, 255, 256, 1000};
	struct slot_set slots = {.word = {0x5}};
	const struct ledger_eyes eyes = {.lives = alive, .runs = alive};
	struct ledger *mapped;
	unsigned again_ms;

	if (!ledger) {
		descriptor = ledger_create(&ledger, 0, sizeof(cpus) / sizeof(cpus[0]), cpus);
		require(descriptor >= 0);
		memcpy(&fresh, ledger, sizeof(fresh));
	}
	memcpy(ledger, &fresh, sizeof(fresh));
	struct ledger_claim claim =
		ledger_claim(ledger, (struct ledger_thread){.pid = 1, .tid = 2});
	ledger_report(ledger, claim, 2, &slots, 1000);
	input = data;
	left = size;
	while (left > size / 2 && left >= sizeof(struct word))
		write_one();
	if (!ledger_map(descriptor, &mapped)) {
		require(mapped->slot_count && mapped->slot_count <= SLOTS_MAX);
		ledger_unmap(mapped);
	}
	look_at_steering();
	write_one();
	slots = ledger_check(ledger, &slots, 2000, &eyes, &again_ms);
	require(again_ms <= LEDGER_LOOK_MS);
	write_one();
	ledger_report(ledger, claim, 3, &slots, 3000);
	ledger_moved(ledger, claim, 3200);
	write_one();
	look_at_steering();
	ledger_release(ledger, claim);
	for (int i = 0; i < 3; i++) {
		claim = ledger_claim(ledger, (struct ledger_thread){.pid = i, .tid = i});
		require(claim.watch >= -1 && claim.watch < LEDGER_WATCHES_MAX);
	}
	return 0;
}
