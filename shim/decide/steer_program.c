#include "shim/decide/steer_program.h"

_Static_assert(STEER_PROGRAM_MAX <= BPF_MAXINSNS, "the kernel takes no longer program");

struct emitter {
	struct sock_filter *program;
	unsigned length;
	/* Jumps to the common sockets, at the end of the program: classic BPF knows no way back. */
	unsigned miss[STEER_CPUS_MAX + 1];
	unsigned misses;
};

static unsigned emit(struct emitter *out, uint16_t code, uint32_t k, uint8_t yes, uint8_t no)
{
	out->program[out->length] = (struct sock_filter){.code = code, .jt = yes, .jf = no, .k = k};
	return out->length++;
}

/* Ancillary data is addressed by negative offsets from SKF_AD_OFF. */
static void emit_load(struct emitter *out, int ancillary)
{
	emit(out, BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + ancillary), 0, 0);
}

static void emit_return(struct emitter *out, uint32_t index)
{
	emit(out, BPF_RET | BPF_K, index, 0, 0);
}

/* An unconditional jump reaches any distance, the conditional ones only 255 instructions. */
static unsigned emit_jump(struct emitter *out)
{
	return emit(out, BPF_JMP | BPF_JA, 0, 0, 0);
}

static void emit_jump_here(struct emitter *out, unsigned from)
{
	out->program[from].k = out->length - from - 1;
}

static void emit_miss(struct emitter *out)
{
	out->miss[out->misses++] = emit_jump(out);
}

static void emit_common(struct emitter *out, const struct steer_gate *gate)
{
	for (unsigned i = 0; i < out->misses; i++)
		emit_jump_here(out, out->miss[i]);
	if (gate->common_count > 1) {
		emit_load(out, SKF_AD_RANDOM);
		emit(out, BPF_ALU | BPF_MOD | BPF_K, gate->common_count, 0, 0);
		emit(out, BPF_ALU | BPF_ADD | BPF_K, gate->common_base, 0, 0);
		emit(out, BPF_RET | BPF_A, 0, 0, 0);
	} else {
		emit_return(out, gate->common_base);
	}
}

static void emit_targets(struct emitter *out, const struct steer_plan *plan,
			 const struct steer_entry *entry, const struct steer_gate *gate)
{
	const uint16_t *slot = plan->target + entry->first;

	if (entry->count > 1) {
		emit_load(out, SKF_AD_RANDOM);
		emit(out, BPF_ALU | BPF_MOD | BPF_K, entry->count, 0, 0);
	}
	for (unsigned i = 0; i + 1 < entry->count; i++) {
		emit(out, BPF_JMP | BPF_JEQ | BPF_K, i, 0, 1);
		emit_return(out, gate->member_base + slot[i]);
	}
	emit_return(out, gate->member_base + slot[entry->count - 1]);
}

/* Binary search over the CPUs, ascending: the accumulator holds the CPU. */
static void emit_search(struct emitter *out, const struct steer_plan *plan, unsigned low,
			unsigned high, const struct steer_gate *gate)
{
	if (high - low == 1) {
		emit(out, BPF_JMP | BPF_JEQ | BPF_K, plan->entry[low].cpu, 1, 0);
		emit_miss(out);
		emit_targets(out, plan, &plan->entry[low], gate);
		return;
	}
	unsigned middle = (low + high) / 2;
	emit(out, BPF_JMP | BPF_JGE | BPF_K, plan->entry[middle].cpu, 0, 1);
	unsigned right = emit_jump(out);
	emit_search(out, plan, low, middle, gate);
	emit_jump_here(out, right);
	emit_search(out, plan, middle, high, gate);
}

unsigned steer_program_make(struct sock_filter program[STEER_PROGRAM_MAX],
			    const struct steer_plan *plan, const struct steer_gate *gate)
{
	struct emitter out = {.program = program};

	if (plan->cpu_count && gate->nic_count) {
		unsigned to_search[STEER_NICS_MAX];

		emit_load(&out, SKF_AD_IFINDEX);
		for (unsigned i = 0; i < gate->nic_count; i++) {
			emit(&out, BPF_JMP | BPF_JEQ | BPF_K, gate->ifindex[i], 0, 1);
			to_search[i] = emit_jump(&out);
		}
		emit_miss(&out);
		for (unsigned i = 0; i < gate->nic_count; i++)
			emit_jump_here(&out, to_search[i]);
		emit_load(&out, SKF_AD_CPU);
		emit_search(&out, plan, 0, plan->cpu_count, gate);
	}
	emit_common(&out, gate);
	return out.length;
}
