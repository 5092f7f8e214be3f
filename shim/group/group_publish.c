/* What the ledger says of a group, told to the kernel, and what the kernel tells of it. */
#include "shim/group/group.h"
#include "shim/kernel/incoming_cpu.h"
#include "shim/kernel/log.h"
#include "shim/kernel/poll.h"
#include "shim/kernel/reuseport.h"
#include "shim/process/machine.h"
#include "shim/process/own_fd.h"
#include "shim/process/runtime.h"
#include <poll.h>
#include <stddef.h>
#include <string.h>

#define PUBLISH_ROUNDS 16

void group_unsteer(const struct group *group)
{
	/* An index that no socket has. */
	struct sock_filter nobody[] = {{.code = BPF_RET | BPF_K, .k = ~0u}};

	if (group->ledger->rung == RUNG_PROGRAM)
		reuseport_attach(group->member[0], nobody, 1);
}

void group_follow_nics(struct group *group)
{
	uint32_t ifindex[STEER_NICS_MAX];
	cpu_set_t arrivals;

	if (group->nics_version == machine_nics_version())
		return;
	group->nics_version = machine_nics_version();
	unsigned nics = nic_spreading(machine_nics(), ifindex, STEER_NICS_MAX, &arrivals);
	ledger_set_nics(group->ledger, nics, ifindex, &arrivals);
}

void group_recount(struct group *group)
{
	struct ledger *ledger = group->ledger;
	int count = reuseport_count(&group->place);
	unsigned members = group->slot_count;

	if (count <= (int)members || (unsigned)count - members == ledger->common_count)
		return;
	ledger->common_count = (unsigned)count - members;
	ledger_changed(ledger);
}

static int distance(const void *topology, int cpu, int other)
{
	return topology_distance(topology, cpu, other);
}

static int attach_program(const struct group *group, const struct steer_plan *plan)
{
	static struct sock_filter program[STEER_PROGRAM_MAX];
	struct steer_gate gate;

	ledger_gate(group->ledger, &gate);
	unsigned length = steer_program_make(program, plan, &gate);
	return reuseport_attach(group->member[0], program, length);
}

static int prefer_homes(const struct group *group, const struct steer_plan *plan, unsigned count)
{
	int ret = 0;

	for (unsigned s = 0; !ret && s < count && s < group->slot_count; s++)
		ret = incoming_cpu_prefer(group->member[s], plan->home[s]);
	return ret;
}

int group_publish(struct group *group)
{
	struct ledger *ledger = group->ledger;
	/* Large, and the stack may be small. */
	static struct steer_input input;
	static struct steer_plan plan;
	uint32_t generation;
	int rounds = PUBLISH_ROUNDS;

	input.distance = distance;
	input.distance_context = runtime_topology();
	do {
		generation = ledger->generation;
		ledger_steer_input(ledger, &input);
		steer_plan_make(&plan, &input);
		int ret = ledger->rung == RUNG_PROGRAM
				  ? attach_program(group, &plan)
				  : prefer_homes(group, &plan, input.slot_count);
		if (ret)
			return ret;
		ledger->attached = generation;
		/* Who changes it all the time cannot hold us: the next to look goes on. */
	} while (ledger->generation != generation && --rounds);
	return 0;
}

void group_publish_if_changed(struct group *group)
{
	struct ledger *ledger = group->ledger;

	if (ledger->attached == ledger->generation || !ledger_is_steering(ledger) ||
	    ledger_hands_over(ledger))
		return;
	/* Closed behind our back: to be healed, not to be given to whose number it is now. */
	if (!own_fd_is_held(&group->member[0])) {
		group->whole_ms = 0;
		return;
	}
	int ret = group_publish(group);
	if (ret)
		log_once(LOG_LEVEL_WARN,
			 "the kernel refuses a new way for the connections of port %u (error %d)",
			 socket_port(&group->place.address), -ret);
}

const char *group_way(const struct group *group)
{
	static const char *const ways[] = {
		[RUNG_PROGRAM] = "a program chooses among them for each SYN",
		[RUNG_INCOMING_CPU] = "SO_INCOMING_CPU of each; programs are refused here",
		[RUNG_HAND_OVER] =
			"connections are handed over after accept(): it cannot be grouped",
	};
	unsigned rung = group->ledger->rung;

	if (group_is_awaited(group))
		return "none so far: who has them does not answer";
	return rung <= RUNG_HAND_OVER ? ways[rung] : "?";
}

struct slot_set group_waiting(const struct group *group)
{
	struct pollfd poll[SLOTS_MAX];
	struct slot_set waiting = {0};

	for (unsigned s = 0; s < group->slot_count; s++)
		poll[s] = (struct pollfd){.fd = group->member[s], .events = POLLIN};
	if (sys_poll(poll, group->slot_count, 0) <= 0)
		return waiting;
	for (unsigned s = 0; s < group->slot_count; s++)
		if (poll[s].revents & POLLIN)
			slot_add(&waiting, s);
	return waiting;
}

/* Whether a thread may run on every CPU that receives: then it is nobody's home. Of queues whose
 * CPUs are not all known, the one known is no such set. */
static bool covers_arrivals(const struct ledger *ledger, const cpu_set_t *mask)
{
	uint64_t allowed[CPU_SETSIZE / 64];
	int count = 0;

	_Static_assert(sizeof(allowed) == sizeof(*mask), "words of 64 CPUs");
	memcpy(allowed, mask, sizeof(allowed));
	for (unsigned w = 0; w < CPU_SETSIZE / 64; w++) {
		uint64_t arrivals = ledger->arrivals[w];
		if (arrivals & ~allowed[w])
			return false;
		count += __builtin_popcountll(arrivals);
	}
	return count > 1;
}

struct slot_set group_home(const struct group *group, const cpu_set_t *mask)
{
	const struct ledger *ledger = group->ledger;
	struct slot_set home = {0};
	unsigned count = 0;

	for (unsigned s = 0; s < group->slot_count; s++) {
		if (CPU_ISSET(ledger->slot_cpu[s], mask)) {
			slot_add(&home, s);
			count++;
		}
	}
	return count < group->slot_count && !covers_arrivals(ledger, mask) ? home
									   : (struct slot_set){0};
}
