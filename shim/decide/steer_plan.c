#include "shim/decide/steer_plan.h"
#include <limits.h>

static int distance_of(const struct steer_input *input, int cpu, int other)
{
	return input->distance ? input->distance(input->distance_context, cpu, other) : 1;
}

/* The arrival CPU that takes in a slot whose own CPU receives nothing, so that its worker does not
 * starve: the nearest, among equals the one with the fewest workers, guests included. So one that
 * has none gets a guest before another's connections are shared. */
static int host_of(const struct steer_input *input, int cpu, const uint16_t *workers)
{
	int best = -1, best_distance = INT_MAX;

	for (int c = 0; c < CPU_SETSIZE; c++) {
		if (!CPU_ISSET(c, &input->arrivals))
			continue;
		int distance = distance_of(input, cpu, c);
		if (distance < best_distance ||
		    (distance == best_distance && workers[c] < workers[best])) {
			best = c;
			best_distance = distance;
		}
	}
	return best;
}

/* Where the connections for each slot come from. Returns whether any slot is watched. */
static bool find_homes(struct steer_plan *plan, const struct steer_input *input)
{
	uint16_t workers[CPU_SETSIZE] = {0};
	bool any = false;

	for (unsigned s = 0; s < input->slot_count; s++) {
		int cpu = input->slot_cpu[s];

		plan->home[s] = -1;
		if (!slot_in(&input->watched, s))
			continue;
		any = true;
		if (!CPU_ISSET(cpu, &input->arrivals))
			continue;
		plan->home[s] = (int16_t)cpu;
		workers[cpu]++;
	}
	for (unsigned s = 0; s < input->slot_count; s++) {
		if (plan->home[s] >= 0 || !slot_in(&input->watched, s))
			continue;
		plan->home[s] = (int16_t)host_of(input, input->slot_cpu[s], workers);
		if (plan->home[s] >= 0)
			workers[plan->home[s]]++;
	}
	return any;
}

static void add_target(struct steer_plan *plan, struct steer_entry *entry, unsigned slot)
{
	if (!entry->count)
		entry->first = (uint16_t)plan->target_count;
	plan->target[plan->target_count++] = (uint16_t)slot;
	entry->count++;
}

static bool is_watched(const struct steer_input *input, unsigned slot)
{
	return slot < input->slot_count && slot_in(&input->watched, slot);
}

/* The slots of the entry, which is the last one, make room for where each eighth of theirs goes;
 * an eighth whose slot is not watched stays. room: for so many more targets. */
static void shift_parts(struct steer_plan *plan, const struct steer_input *input,
			struct steer_entry *entry, unsigned *room)
{
	unsigned count = entry->count, more = count * (SHIFT_PARTS - 1);
	uint16_t slot[SLOTS_MAX];
	uint64_t any = 0;

	for (unsigned i = 0; i < count; i++) {
		slot[i] = plan->target[entry->first + i];
		any |= input->parts[slot[i]];
	}
	if (!any || more > *room)
		return;
	*room -= more;
	plan->target_count = entry->first;
	entry->count = 0;
	for (unsigned p = 0; p < SHIFT_PARTS; p++) {
		for (unsigned i = 0; i < count; i++) {
			unsigned target = shift_target(input->parts[slot[i]], slot[i], p);
			add_target(plan, entry, is_watched(input, target) ? target : slot[i]);
		}
	}
}

/* Watched slots of the set nearest to a CPU; returns how many. */
static unsigned nearest_set(const struct steer_input *input, int cpu, uint16_t *near)
{
	int nearest = INT_MAX;
	unsigned count = 0;

	for (unsigned s = 0; s < input->slot_count; s++) {
		if (!slot_in(&input->watched, s))
			continue;
		int distance = distance_of(input, cpu, input->slot_cpu[s]);
		if (distance > nearest)
			continue;
		if (distance < nearest)
			count = 0;
		nearest = distance;
		near[count++] = (uint16_t)s;
	}
	return count;
}

/* Takes the slot out of the set that is named least so far. */
static unsigned take_least(uint16_t *near, unsigned count, uint16_t *named)
{
	unsigned least = 0;

	for (unsigned i = 1; i < count; i++)
		if (named[near[i]] < named[near[least]])
			least = i;
	unsigned slot = near[least];
	near[least] = near[count - 1];
	named[slot]++;
	return slot;
}

/* CPUs that have neither a worker nor a guest are shared out over their nearest sets. Where there
 * are too many for each to name the whole set, each names a part of it. */
static void share_out(struct steer_plan *plan, const struct steer_input *input, unsigned orphans)
{
	uint16_t near[SLOTS_MAX], named[SLOTS_MAX] = {0};

	for (unsigned e = 0; e < plan->cpu_count; e++) {
		struct steer_entry *entry = &plan->entry[e];
		if (entry->count)
			continue;
		unsigned count = nearest_set(input, entry->cpu, near);
		unsigned part = (STEER_TARGETS_MAX - plan->target_count) / orphans--;
		for (; part && count; part--, count--)
			add_target(plan, entry, take_least(near, count, named));
	}
}

void steer_plan_make(struct steer_plan *plan, const struct steer_input *input)
{
	unsigned orphans = 0, room = STEER_SHIFTED_MAX;

	plan->cpu_count = plan->target_count = 0;
	if (!find_homes(plan, input))
		return;
	for (int cpu = 0; cpu < CPU_SETSIZE && plan->cpu_count < STEER_CPUS_MAX; cpu++) {
		if (!CPU_ISSET(cpu, &input->arrivals))
			continue;
		struct steer_entry *entry = &plan->entry[plan->cpu_count++];
		*entry = (struct steer_entry){.cpu = (uint16_t)cpu};
		for (unsigned s = 0; s < input->slot_count; s++)
			if (plan->home[s] == cpu)
				add_target(plan, entry, s);
		orphans += !entry->count;
		shift_parts(plan, input, entry, &room);
	}
	share_out(plan, input, orphans);
}
