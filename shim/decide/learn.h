/* Learns where flows arrive by watching: no key, no table, no question to the NIC.
 *
 * Where the hash is linear and the table spreads it evenly over a power of two of CPUs, two flows
 * that arrive on one CPU differ by a vector of one fixed space, whatever the key. So differences of
 * observed flows are collected into a basis; a flow arrives on the CPU c if its difference to one
 * seen on c lies in the span. What is not spanned is unknown.
 *
 * Observations may be wrong (a connection whose packets moved): nothing is believed before it was
 * confirmed, contradictions are judged against the last LEARN_KEPT observations, and what explains
 * those best is kept. When the NIC changes, what was learned is forgotten within some 20
 * contradicting observations. Where no such space explains what is seen, that is said, and nothing
 * predicted. A table that leaves such a rule in one entry of a hundred or fewer cannot be told from
 * one that is observed wrongly as often: the rule is told, and is wrong for the flows of that
 * entry.
 *
 * One value for each NIC and family, about 100 KB, no pointers, no allocation. Not safe against
 * concurrent use. learn_observe() costs well under a microsecond once learned; a contradiction now
 * and then some milliseconds. */
#pragma once
#include "shim/decide/arrival.h"
#include "shim/decide/learn_space.h"

#define LEARN_KEPT 512

enum learn_state {
	LEARN_WATCHING, /* what is predicted is right, but much may be unknown */
	LEARN_KNOWN,    /* the map is complete: learn_arrival() gives it */
	LEARN_REFUSED   /* what is seen follows no such rule */
};

/* Why not, when refused. */
enum learn_refusal {
	LEARN_NOT_REFUSED,
	LEARN_NOT_AFFINE,     /* CPUs or table no power of two, or a hash that is not linear */
	LEARN_FOLLOWS_SENDER, /* packets arrive where the flow was made: RFS, same host */
	LEARN_NOT_BY_FLOW,    /* one flow was seen on different CPUs */
	LEARN_TOO_MANY_CPUS,
	LEARN_NOT_BY_PORTS /* by addresses alone, or by who sends: see learner.h */
};

struct learn_seen {
	struct tuple tuple;
	int16_t cpu;
	bool made; /* here, by a thread whose CPU is known ... */
	bool own;  /* ... and is this one */
};

struct learn {
	enum flow_family family;
	enum learn_state state;
	enum learn_refusal refusal;
	uint32_t observations;
	uint32_t contradictions;
	uint32_t changes;    /* of what is predicted: publish anew when it differs */
	uint32_t forgotten;  /* how often everything was */
	uint32_t news_at;    /* observation that taught or confirmed something last */
	uint32_t begun;      /* observations there were at the last beginning that was no retry */
	uint16_t confirmed;  /* predictions that came true since the last beginning */
	uint16_t unresolved; /* contradictions since the last look for a better explanation */
	uint16_t failures;   /* beginnings that led to nothing, in a row */
	uint16_t same_flow;  /* contradictions in these by a flow that was kept itself */
	uint16_t surprises;  /* of those, that the flow before it of its kind spoke against */
	uint32_t port_bits;  /* of a tuple, that differ between flows of one kind; until known */
	uint32_t retry_at;   /* when refused: observation at which to begin again */
	uint32_t recent;     /* the last judgements, a bit each, 1: contradicted */
	uint16_t kept;       /* valid entries of seen[] */
	uint16_t fresh;      /* those of them since the last beginning */
	uint16_t next;       /* where the next one goes */
	struct learn_space space;
	struct learn_space trial;
	struct learn_seen seen[LEARN_KEPT];
};

/* Begin, or begin anew: the NIC was reconfigured. */
void learn_init(struct learn *l, enum flow_family family);

/* A flow of this family was seen to arrive on a CPU. own_cpu: where the thread ran that made the
 * flow, or -1 where that is not known or does not apply. */
enum learn_verdict learn_observe(struct learn *l, const struct flow *flow, int cpu, int own_cpu);

/* Whether the nth of the latest observations, from 1, was on another CPU than the one of its kind
 * before it; where there is none, than the one before it. Senders that stay on a CPU for a while
 * make any table look right as long as they do; only one that foretells surprises is. */
bool learn_was_surprise(const struct learn *l, unsigned n);

/* The CPU, or -1: not known. */
int learn_predict(const struct learn *l, const struct flow *flow);

/* A port in [lo, hi] with which this flow would teach something; 0 if all are likely known.
 * `random` decides among those that would. */
uint16_t learn_probe(const struct learn *l, const struct flow *flow, uint16_t lo, uint16_t hi,
		     uint64_t random);

/* Room to work things out in: too much for the stacks of an application's threads. What is in it
 * between two calls means nothing. */
struct learn_room {
	struct learn_space space;
	uint64_t column[TUPLE_BITS];
};

/* What was learned, as an arrival like any other, for each family that is LEARN_KNOWN (either may
 * be NULL). False when none is, or when not enough is known of the ports yet. A flow that was not
 * spanned has no hash there. */
bool learn_arrival(struct arrival *a, const struct learn *ipv4, const struct learn *ipv6,
		   struct learn_room *room);

/* Whether those bits of the ports that were seen to differ between flows of one kind have a part in
 * it. Known before an arrival is where connections are only accepted: on one local port, so that
 * what the other ports would do was never seen. */
enum learn_ports { LEARN_PORTS_UNSURE, LEARN_PORTS_IDLE, LEARN_PORTS_MATTER };
enum learn_ports learn_ports(const struct learn *l, struct learn_room *room);

const char *learn_refusal_text(enum learn_refusal refusal);
