/* The local ports of a flow whose replies arrive on a wanted CPU.
 *
 *   struct ports        what one arrival says about ports: built once, shared read-only by threads
 *                       and forked children, no pointers inside
 *   struct port_target  the wanted CPUs in terms of it: built when a thread's home changes
 *   struct port_range   the ports to choose from: built when the host's range changes
 *   struct port_set     one flow's question, answered by position: nothing is listed or searched
 *
 * A set has `positions` positions; those that hold a port hold each matching port exactly once. The
 * few that hold none are the price for not counting the ports of every class beforehand. */
#pragma once
#include "shim/decide/arrival.h"
#include "shim/decide/class_map.h"
#include "shim/decide/port_space.h"
#include <sched.h>

#define PORT_TARGET_PARTS 16

struct ports {
	uint64_t fingerprint; /* of the arrival */
	struct class_map classes;
	/* For symmetric-or-xor the columns depend on the remote port: each set has its own. */
	struct port_space space[FLOW_FAMILIES];
};

struct port_target {
	cpu_set_t cpus;
	uint64_t fingerprint; /* of the CPUs that receive */
	uint16_t parts;       /* 0: more CPUs than parts, ports are tried one by one */
	uint16_t classes;     /* of all parts */
	uint64_t inverse;     /* 2^32 / classes, rounded up: divides 16 bits exactly */
	struct {
		uint16_t cpu;
		uint16_t list; /* its classes start here in class_map.list */
		uint16_t end;  /* number of classes up to and with this part */
	} part[PORT_TARGET_PARTS];
};

struct port_range {
	uint16_t lo, hi;
	uint64_t fingerprint; /* 0, or the caller's of what else keeps ports out of reach */
	struct port_interval interval[FLOW_FAMILIES];
};

enum port_verdict {
	PORTS_FOUND,
	PORTS_HASH_UNKNOWN, /* nothing can be said of this flow */
	PORTS_NO_QUEUE,     /* no queue delivers to the wanted CPUs */
	PORTS_UNREACHABLE,  /* the key does not let the port reach them for this flow */
};

struct port_set {
	const struct arrival *arrival;
	const struct ports *ports;
	const struct port_target *target;
	const struct port_space *space;
	const struct port_interval *interval;
	enum flow_family family;
	uint16_t remote_port;
	uint32_t hash;       /* of the flow with local port 0 */
	uint16_t base;       /* the class of that */
	bool one_by_one;     /* positions are ports of the range, each to be checked */
	uint32_t positions;  /* at most 65536; 0 unless PORTS_FOUND */
	uint64_t reciprocal; /* 2^64 / positions, rounded up: remainders without a division */
	uint32_t reciprocal_of;
	uint64_t identity; /* of all that positions depend on but for the remote side */
	/* For port_set_move(). */
	bool movable;
	uint32_t near; /* what of the hash does not come from the remote side */
	uint8_t local[16];
	/* symmetric-or-xor only, kept for the next question about the same remote port. */
	const struct ports *space_of;
	enum flow_family space_family;
	uint16_t space_port;
	struct port_space own_space;
	struct port_interval own_interval;
};

void ports_init(struct ports *ports, const struct arrival *a);
void port_target_init(struct port_target *target, const struct ports *ports, const cpu_set_t *cpus);
/* lo <= hi. Leaves the fingerprint 0. */
void port_range_init(struct port_range *range, const struct ports *ports, uint16_t lo, uint16_t hi);

/* Ask for `flow`; its local port does not count. All but `set` must stay as they are while it is
 * used. `set` needs zeroing before its first use and after `ports` was built anew in place; it is
 * best kept for the next question. */
enum port_verdict port_set_init(struct port_set *set, const struct arrival *a,
				const struct ports *ports, const struct port_target *target,
				const struct port_range *range, const struct flow *flow);

/* The same question about a flow with another remote side, in a fraction of the time. False where
 * more than that differs, or where it changes more: then port_set_init() is to be asked. */
bool port_set_move(struct port_set *set, const struct flow *flow);

/* The port at a position, or 0. */
uint16_t port_set_at(const struct port_set *set, uint32_t position);

/* Of the classes that lead to the wanted CPUs, how many a port of this flow can reach, in a range
 * of all ports. Fewer than all where the key makes port bits depend on each other. */
unsigned port_set_reachable(const struct port_set *set);
