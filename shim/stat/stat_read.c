#include "shim/stat/stat_read.h"
#include "shim/stat/stat_policy.h"
#include <errno.h>

const struct stat_counter_info stat_counters[STAT_COUNTERS] = {
#define COUNTER(name, section, key, help) [STAT_##name] = {#section, #key, help},
#include "shim/stat/counters.def"
#undef COUNTER
};

static void check_nic(struct stat_nic *nic)
{
	stat_check_text(nic->name, sizeof(nic->name));
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
	if (copy->nic_count > NIC_MAX)
		copy->nic_count = NIC_MAX;
	for (unsigned i = 0; i < NIC_MAX; i++)
		check_nic(&copy->nic[i]);
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

static bool is_home(const struct stat_memory *copy, unsigned cpu)
{
	return cpu < CPU_SETSIZE && copy->homes[cpu / 64] >> (cpu % 64) & 1;
}

void stat_judge(struct stat_outcome *outcome, const struct stat_memory *copy, enum stat_side side)
{
	struct stat_totals totals;

	stat_sum(&totals, copy);
	*outcome = (struct stat_outcome){0};
	outcome->aligned =
		totals.counter[side == STAT_ACCEPT ? STAT_ACCEPT_ALIGNED : STAT_CONNECT_ALIGNED];
	outcome->misaligned = totals.counter[side == STAT_ACCEPT ? STAT_ACCEPT_MISALIGNED
								 : STAT_CONNECT_MISALIGNED];
	outcome->unpinned =
		totals.counter[side == STAT_ACCEPT ? STAT_ACCEPT_UNPINNED : STAT_CONNECT_ELSEWHERE];
	outcome->looked_at = outcome->aligned + outcome->misaligned + outcome->unpinned;
	for (unsigned row = 0; row < STAT_ROWS; row++)
		for (unsigned cpu = 0; cpu < STAT_CPUS_MAX; cpu++)
			if (is_home(copy, cpu))
				outcome->reachable += copy->table[side][row].arrived[cpu];
}

unsigned stat_share(uint64_t part, uint64_t total)
{
	if (!total)
		return 0;
	return part >= total ? 1000 : (unsigned)((double)part * 1000 / (double)total);
}
