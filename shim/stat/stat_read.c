#include "shim/stat/stat_read.h"
#include "shim/stat/stat_policy.h"
#include <errno.h>
#include <string.h>

const struct stat_counter_info stat_counters[STAT_COUNTERS] = {
#define COUNTER(name, section, key, help) [STAT_##name] = {#section, #key, help},
#include "shim/stat/counters.def"
};

const struct stat_section_info stat_sections[STAT_SECTIONS] = {
#define SECTION(section, title) {#section, title},
#include "shim/stat/counters.def"
};

bool stat_is_in(int counter, const char *section)
{
	return !strcmp(stat_counters[counter].section, section);
}

static void check_nic(struct stat_nic *nic)
{
	stat_check_text(nic->name, sizeof(nic->name));
	nic->gone = !!nic->gone;
	nic->learned = !!nic->learned;
	nic->spreads = !!nic->spreads;
	for (int family = 0; family < 2; family++)
		nic->predictable[family] = !!nic->predictable[family];
}

int stat_check(struct stat_memory *copy, size_t size)
{
	/* The size first: nothing else may be there. */
	if (size < offsetof(struct stat_memory, counters) || copy->magic != STAT_MAGIC)
		return -EPROTO;
	if (copy->abi != STAT_ABI || copy->size != sizeof(*copy) || size != sizeof(*copy) ||
	    copy->counters != STAT_COUNTERS)
		return -EPROTONOSUPPORT;
	if (!copy->every)
		copy->every = 1;
	stat_check_text(copy->version, sizeof(copy->version));
	stat_check_text(copy->program, sizeof(copy->program));
	stat_check_policy(&copy->policy);
	for (unsigned i = 0; i < NIC_MAX; i++)
		check_nic(&copy->nic[i]);
	if (copy->outgoing >= STAT_OUTGOINGS)
		copy->outgoing = STAT_OUTGOING_UNASKED;
	for (unsigned i = 0; i < STAT_LISTENERS_MAX; i++)
		stat_check_text(copy->listener[i].reason, sizeof(copy->listener[i].reason));
	return 0;
}

static void add_block(struct stat_totals *totals, const struct stat_block *block)
{
	for (int c = 0; c < STAT_COUNTERS; c++)
		totals->counter[c] += block->counter[c];
}

void stat_sum(struct stat_totals *totals, const struct stat_memory *copy)
{
	*totals = (struct stat_totals){0};
	add_block(totals, &copy->crowd);
	for (int i = 0; i < STAT_BLOCKS_MAX; i++)
		add_block(totals, &copy->block[i]);
}

uint64_t stat_connections(const struct stat_totals *totals, enum stat_side side)
{
	uint64_t sum = 0;

	for (int c = 0; c < STAT_COUNTERS; c++)
		if (c != STAT_CONNECT_TRIES && stat_is_in(c, side ? "connect" : "accept"))
			sum += totals->counter[c];
	return sum;
}

/* Never below nothing: a slot may have gone to another interface meanwhile. */
static void subtract(_Atomic uint64_t *number, uint64_t earlier)
{
	*number = *number > earlier ? *number - earlier : 0;
}

void stat_since(struct stat_memory *copy, const struct stat_memory *earlier)
{
	for (int side = 0; side < STAT_SIDES; side++) {
		for (unsigned row = 0; row < STAT_ROWS; row++)
			for (unsigned cpu = 0; cpu < STAT_COLUMNS; cpu++)
				subtract(&copy->table[side][row].arrived[cpu],
					 earlier->table[side][row].arrived[cpu]);
		for (unsigned cpu = 0; cpu < STAT_COLUMNS; cpu++)
			for (unsigned slot = 0; slot <= STAT_NO_NIC; slot++)
				for (int what = 0; what < STAT_OUTCOMES; what++)
					subtract(&copy->column[side][cpu].nic[slot][what],
						 earlier->column[side][cpu].nic[slot][what]);
	}
	for (unsigned slot = 0; slot < NIC_MAX; slot++) {
		subtract(&copy->nic[slot].right, earlier->nic[slot].right);
		subtract(&copy->nic[slot].wrong, earlier->nic[slot].wrong);
	}
}

static bool is_home(const struct stat_memory *copy, unsigned cpu)
{
	return cpu < STAT_CPUS_MAX && copy->homes[cpu / 64] >> (cpu % 64) & 1;
}

static void add(struct stat_outcome *outcome, const _Atomic uint64_t *count, bool reachable)
{
	uint64_t sum = count[STAT_ALIGNED] + count[STAT_MISALIGNED] + count[STAT_NOT_PINNED];

	outcome->looked_at += sum;
	outcome->aligned += count[STAT_ALIGNED];
	outcome->misaligned += count[STAT_MISALIGNED];
	outcome->unpinned += count[STAT_NOT_PINNED];
	outcome->reachable += reachable ? sum : count[STAT_ALIGNED];
}

void stat_judge_nic(struct stat_outcome *outcome, const struct stat_memory *copy,
		    enum stat_side side, unsigned slot)
{
	bool steerable = slot < NIC_MAX && copy->nic[slot].spreads;

	*outcome = (struct stat_outcome){0};
	for (unsigned cpu = 0; cpu < STAT_COLUMNS; cpu++)
		add(outcome, copy->column[side][cpu].nic[slot], steerable && is_home(copy, cpu));
}

void stat_judge_cpu(struct stat_outcome *outcome, const struct stat_memory *copy,
		    enum stat_side side, unsigned cpu)
{
	*outcome = (struct stat_outcome){0};
	for (unsigned row = 0; row < STAT_ROWS; row++) {
		uint64_t count = copy->table[side][row].arrived[cpu];

		outcome->looked_at += count;
		*(row == STAT_UNPINNED ? &outcome->unpinned
		  : row == cpu         ? &outcome->aligned
				       : &outcome->misaligned) += count;
	}
	outcome->reachable = is_home(copy, cpu) ? outcome->looked_at : outcome->aligned;
}

/* Connections there was a port to choose for, by the threads that made them. */
static uint64_t choosable(const struct stat_memory *copy, const struct stat_outcome *outcome)
{
	struct stat_totals totals;

	stat_sum(&totals, copy);
	uint64_t steered = totals.counter[STAT_CONNECT_STEERED];
	if (steered > outcome->looked_at)
		steered = outcome->looked_at;
	return steered > outcome->aligned ? steered : outcome->aligned;
}

void stat_judge(struct stat_outcome *outcome, const struct stat_memory *copy, enum stat_side side)
{
	struct stat_outcome part, sample = {0};
	uint64_t at_home = 0;

	*outcome = (struct stat_outcome){0};
	for (unsigned cpu = 0; cpu < STAT_COLUMNS; cpu++) {
		stat_judge_cpu(&part, copy, side, cpu);
		outcome->looked_at += part.looked_at;
		outcome->aligned += part.aligned;
		outcome->misaligned += part.misaligned;
		outcome->unpinned += part.unpinned;
		at_home += part.reachable;
	}
	if (side == STAT_CONNECT) {
		outcome->reachable = choosable(copy, outcome);
		return;
	}
	/* What interfaces that do not spread bring is not steered: told by the sample that knows.
	 */
	for (unsigned slot = 0; slot <= NIC_MAX; slot++) {
		stat_judge_nic(&part, copy, side, slot);
		sample.looked_at += part.looked_at;
		sample.reachable += part.reachable;
	}
	outcome->reachable = at_home;
	if (sample.reachable < sample.looked_at) {
		double part_of_all = (double)outcome->looked_at * (double)sample.reachable /
				     (double)sample.looked_at;
		/* Hostile numbers round up to more than there are. */
		if (part_of_all < (double)outcome->looked_at)
			outcome->reachable = (uint64_t)part_of_all;
	}
	if (outcome->reachable < outcome->aligned)
		outcome->reachable = outcome->aligned;
}

unsigned stat_share(uint64_t part, uint64_t total)
{
	if (!total)
		return 0;
	return part >= total ? 1000 : (unsigned)((double)part * 1000 / (double)total);
}
