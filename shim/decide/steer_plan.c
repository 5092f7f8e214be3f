#include "shim/decide/steer_plan.h"
#include <limits.h>

static int distance_of(const struct steer_input *input, int cpu, int other)
{
	return input->distance ? input->distance(input->distance_context, cpu, other) : 1;
}

/* The arrival CPU that takes in a slot whose own CPU receives nothing, so that its worker does not
 * starve: the nearest, among equals the one with the fewest such guests. */
static int host_of(const struct steer_input *input, int cpu, const uint16_t *guests)
{
	int best = -1, best_distance = INT_MAX;

	for (int c = 0; c < CPU_SETSIZE; c++) {
		if (!CPU_ISSET(c, &input->arrivals))
			continue;
		int distance = distance_of(input, cpu, c);
		if (distance < best_distance ||
		    (distance == best_distance && guests[c] < guests[best])) {
			best = c;
			best_distance = distance;
		}
	}
	return best;
}

static void add_target(struct steer_plan *plan, struct steer_entry *entry, uint16_t slot)
{
	if (plan->target_count == STEER_TARGETS_MAX)
		return;
	plan->target[plan->target_count++] = slot;
	entry->count++;
}

/* No worker on this CPU nor a guest of it: every watched slot of the nearest set. */
static void add_nearest(struct steer_plan *plan, struct steer_entry *entry,
			const struct steer_input *input)
{
	int nearest = INT_MAX;

	for (int pass = 0; pass < 2; pass++) {
		for (unsigned s = 0; s < input->slot_count; s++) {
			if (!slot_in(&input->watched, s))
				continue;
			int distance = distance_of(input, entry->cpu, input->slot_cpu[s]);
			if (!pass && distance < nearest)
				nearest = distance;
			if (pass && distance == nearest)
				add_target(plan, entry, (uint16_t)s);
		}
	}
}

void steer_plan_make(struct steer_plan *plan, const struct steer_input *input)
{
	int host[SLOTS_MAX];
	uint16_t guests[CPU_SETSIZE] = {0};

	plan->cpu_count = plan->target_count = 0;
	if (slots_empty(&input->watched))
		return;
	for (unsigned s = 0; s < input->slot_count; s++) {
		int cpu = input->slot_cpu[s];

		host[s] = -1;
		if (!slot_in(&input->watched, s))
			continue;
		host[s] = cpu;
		if (!CPU_ISSET(cpu, &input->arrivals)) {
			host[s] = host_of(input, cpu, guests);
			if (host[s] >= 0)
				guests[host[s]]++;
		}
	}
	for (int cpu = 0; cpu < CPU_SETSIZE && plan->cpu_count < STEER_CPUS_MAX; cpu++) {
		if (!CPU_ISSET(cpu, &input->arrivals))
			continue;
		struct steer_entry *entry = &plan->entry[plan->cpu_count];
		*entry = (struct steer_entry){.cpu = (uint16_t)cpu,
					      .first = (uint16_t)plan->target_count};
		for (unsigned s = 0; s < input->slot_count; s++)
			if (host[s] == cpu)
				add_target(plan, entry, (uint16_t)s);
		if (!entry->count)
			add_nearest(plan, entry, input);
		if (entry->count)
			plan->cpu_count++;
	}
}
