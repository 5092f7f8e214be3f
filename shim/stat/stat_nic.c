/* What is known of the interfaces, for the command. */
#include "shim/stat/stat_nic.h"
#include "shim/stat/stat.h"
#include <string.h>

unsigned stat_nic_slot(const struct stat_memory *memory, uint32_t ifindex)
{
	for (unsigned i = 0; ifindex && i < NIC_MAX; i++)
		if (memory->nic[i].ifindex == ifindex)
			return i;
	return STAT_NO_NIC;
}

/* Its connections are counted for the next one from now on. */
static void forget(struct stat_memory *memory, unsigned slot)
{
	for (int side = 0; side < STAT_SIDES; side++)
		for (unsigned cpu = 0; cpu < STAT_COLUMNS; cpu++)
			for (int what = 0; what < STAT_OUTCOMES; what++)
				memory->column[side][cpu].nic[slot][what] = 0;
	memory->nic[slot].right = memory->nic[slot].wrong = 0;
	memory->nic[slot].mistrusted = 0;
}

/* A free slot, or that of an interface that is gone. */
static unsigned take(struct stat_memory *memory, uint32_t ifindex, bool gone)
{
	for (unsigned i = 0; i < NIC_MAX; i++) {
		uint32_t owner = memory->nic[i].ifindex;

		if ((gone ? !memory->nic[i].gone : owner != 0) ||
		    !atomic_compare_exchange_strong(&memory->nic[i].ifindex, &owner, ifindex))
			continue;
		if (gone)
			forget(memory, i);
		return i;
	}
	return STAT_NO_NIC;
}

/* Other processes of the application may be at it too: the compare-and-swap gives a slot to one of
 * them, and who took a second one for the same interface gives it back. */
static unsigned claim(struct stat_memory *memory, uint32_t ifindex)
{
	unsigned taken = STAT_NO_NIC;

	if (stat_nic_slot(memory, ifindex) == STAT_NO_NIC)
		taken = take(memory, ifindex, false);
	if (stat_nic_slot(memory, ifindex) == STAT_NO_NIC)
		taken = take(memory, ifindex, true);
	unsigned first = stat_nic_slot(memory, ifindex);
	if (first < taken && taken != STAT_NO_NIC)
		memory->nic[taken].ifindex = 0;
	return first;
}

/* By now it may have been learned where packets arrive, or something else is reported. */
static void judge(struct stat_nic *nic, const struct nic_view *view)
{
	if (!nic->mistrusted && !view->disproved)
		return;
	uint64_t now = arrival_fingerprint(&view->arrival);

	if (view->disproved && !view->learned)
		nic->mistrusted = now;
	else if (view->learned || nic->mistrusted != now)
		nic->mistrusted = 0;
}

static void describe(struct stat_nic *nic, const struct nic_view *view)
{
	judge(nic, view);
	memcpy(nic->name, view->name, sizeof(nic->name));
	nic->kind = (uint8_t)view->kind;
	nic->learned = view->learned;
	nic->spreads = view->spreads;
	nic->spreads_not = (uint8_t)view->spreads_not;
	nic->queues = view->arrival.queue_count;
	nic->cpus = view->cpus;
	for (int family = 0; family < 2; family++) {
		nic->predictable[family] = view->predictable[family];
		nic->predictable_not[family] = (uint8_t)view->predictable_not[family];
	}
	nic->gone = false;
}

void stat_set_nics(const struct nic_set *nics, const cpu_set_t *online)
{
	struct stat_memory *memory = stat_shared;
	uint32_t spreading[NIC_MAX];
	cpu_set_t receiving;

	if (!memory)
		return;
	for (unsigned i = 0; i < NIC_MAX; i++)
		if (!nic_by_index(nics, memory->nic[i].ifindex))
			memory->nic[i].gone = true;
	for (unsigned i = 0; i < nics->count; i++) {
		unsigned slot = claim(memory, nics->view[i].ifindex);

		if (slot != STAT_NO_NIC)
			describe(&memory->nic[slot], &nics->view[i]);
	}
	if (!nic_spreading(nics, spreading, NIC_MAX, &receiving))
		receiving = *online;
	/* Threads that judge by it meanwhile never find it empty. */
	memory->receiving = receiving;
}

void stat_outgoing(enum stat_outgoing state)
{
	struct stat_memory *memory = stat_shared;

	if (memory && memory->outgoing != state)
		memory->outgoing = state;
}

void stat_predicted(uint32_t ifindex, bool right)
{
	struct stat_memory *memory = stat_shared;
	unsigned slot = memory ? stat_nic_slot(memory, ifindex) : STAT_NO_NIC;

	stat_count(right ? STAT_PREDICT_RIGHT : STAT_PREDICT_WRONG);
	if (slot != STAT_NO_NIC)
		atomic_fetch_add_explicit(right ? &memory->nic[slot].right
						: &memory->nic[slot].wrong,
					  1, memory_order_relaxed);
}

void stat_trust(uint32_t ifindex, uint64_t mistrusted)
{
	struct stat_memory *memory = stat_shared;
	unsigned slot = memory ? stat_nic_slot(memory, ifindex) : STAT_NO_NIC;

	if (slot != STAT_NO_NIC)
		memory->nic[slot].mistrusted = mistrusted;
}
