/* Learning where flows arrive, held against NICs of which nothing but (flow, CPU) is shown. */
#include "shim/decide/ports.h"
#include "tests/unit/shown_nic.h"
#include <criterion/criterion.h>

static struct learn_room room;
static struct arrival learned; /* what came of watching */

/* Connections from anywhere to one listener. */
static struct flow incoming(unsigned family)
{
	struct flow flow = random_flow(&state, family ? AF_INET6 : AF_INET);

	memcpy(flow.local, servers[family][0].local, 16);
	if (family) /* clients of a few networks */
		memcpy(flow.remote, servers[1][flow.remote[0] % SERVERS].remote, 8);
	flow.local_port = 80;
	return flow;
}

typedef struct flow (*source_fn)(unsigned family);

static void watch(unsigned family, source_fn source, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct flow flow = source(family);

		learn_observe(&learn[family], &flow, truth(&flow), -1);
	}
}

/* Predictions of `count` flows; returns how many were known, asserts that none is wrong. */
static unsigned known_of(unsigned family, source_fn source, unsigned count)
{
	unsigned known = 0;

	for (unsigned i = 0; i < count; i++) {
		struct flow flow = source(family);
		int cpu = learn_predict(&learn[family], &flow);

		if (cpu < 0)
			continue;
		cr_assert_eq(cpu, truth(&flow));
		known++;
	}
	return known;
}

/* Random keys, CPU counts, tables: never a wrong prediction on the way, and at the end all known.
 */
Test(learn, outgoing_never_wrong_and_soon_complete, .timeout = 60)
{
	static const unsigned cpus[] = {2, 4, 8, 16, 32}, enough[] = {60, 80, 120, 180, 320};

	for (unsigned round = 0; round < 2000; round++) {
		unsigned family = round % 2, which = round / 2 % 5;

		nic_random(128u << round % 5, cpus[which]);
		servers_random();
		for (unsigned step = 0; step < 8; step++) {
			watch(family, outgoing, enough[which] / 8);
			known_of(family, outgoing, 10);
		}
		if (learn[family].state !=
		    LEARN_KNOWN) /* rank hazard: ports cannot tell the CPUs */
			watch(family, outgoing, enough[which]);
		unsigned known = known_of(family, outgoing, 50);

		cr_assert_geq(known, 49, "round %u: %u of 50, %u CPUs", round, known, cpus[which]);
		cr_assert_eq(learn[family].contradictions, 0);
	}
}

Test(learn, incoming_never_wrong, .timeout = 60)
{
	static const unsigned cpus[] = {2, 4, 8, 16};

	for (unsigned round = 0; round < 300; round++) {
		unsigned family = round % 2, known;

		nic_random(128, cpus[round / 2 % 4]);
		servers_random();
		for (unsigned step = 0; step < 10; step++) {
			watch(family, incoming, 20);
			known_of(family, incoming, 10);
		}
		known = known_of(family, incoming, 50);
		cr_assert_eq(known, 50, "round %u: %u of 50", round, known);
	}
}

Test(learn, rps_and_symmetric_keys)
{
	for (unsigned round = 0; round < 200; round++) {
		nic_random(128, 4);
		servers_random();
		if (round % 2)
			nic.hash.transform = TRANSFORM_SYMMETRIC_XOR;
		if (round % 4 < 2) {
			nic.rps.count = 8;
			for (unsigned i = 0; i < 8; i++)
				nic.rps.cpu[i] = (uint16_t)(7 - i);
		}
		for (unsigned step = 0; step < 10; step++) {
			watch(FLOW_IPV4, outgoing, 20);
			known_of(FLOW_IPV4, outgoing, 10);
		}
		cr_assert_eq(known_of(FLOW_IPV4, outgoing, 50), 50);
	}
}

/* The published map predicts the same, and the port solver works from it as from a key. */
Test(learn, arrival_and_ports_from_what_was_learned, .timeout = 60)
{
	static int16_t cpu_of[65536];
	static struct ports ports;
	static struct port_set set;
	static bool found[65536];
	struct port_range range;

	for (unsigned round = 0; round < 60; round++) {
		unsigned cpus = 2u << round % 4, wrong = 0;

		nic_random(128, cpus);
		servers_random();
		for (unsigned f = 0; f < FLOW_FAMILIES; f++)
			watch(f, outgoing, 150 + 20 * cpus);
		cr_assert(learn_arrival(&learned, &learn[0], round % 3 ? &learn[1] : NULL, &room));
		ports_init(&ports, &learned);
		port_range_init(&range, &ports, 32768, 60999);
		for (unsigned f = 0; f < 1 + (round % 3 > 0); f++) {
			struct flow flow = outgoing(f), stranger = random_flow(&state, AF_INET);

			reference_ports(cpu_of, &nic, flow);
			for (unsigned i = 0; i < 500; i++) {
				flow = outgoing(f);
				wrong += arrival_of(&learned, &flow).cpu != truth(&flow);
			}
			cr_assert_eq(wrong, 0);
			cr_assert_eq(arrival_of(&learned, &stranger).cpu, -1);
			flow = outgoing(f);
			reference_ports(cpu_of, &nic, flow);
			for (unsigned cpu = 0; cpu < cpus; cpu++) {
				struct port_target target;
				cpu_set_t wanted;

				CPU_ZERO(&wanted);
				CPU_SET(cpu, &wanted);
				port_target_init(&target, &ports, &wanted);
				cr_assert_eq(port_set_init(&set, &learned, &ports, &target, &range,
							   &flow),
					     PORTS_FOUND);
				cr_assert_not(set.one_by_one);
				memset(found, 0, sizeof(found));
				for (uint32_t i = 0; i < set.positions; i++)
					found[port_set_at(&set, i)] = true;
				for (unsigned port = 32768; port <= 60999; port++) {
					if (found[port] != (cpu_of[port] == (int)cpu))
						cr_assert_fail("port %u, CPU %u", port, cpu);
				}
			}
		}
		struct flow other = outgoing(FLOW_IPV6);

		if (round % 3 == 0)
			cr_assert_eq(arrival_of(&learned, &other).cpu, -1);
	}
}

/* One observation in a hundred is wrong: fewer predictions are. */
static void noise(unsigned family, source_fn source)
{
	unsigned asked = 0, known = 0, wrong = 0;

	for (unsigned round = 0; round < 60; round++) {
		unsigned cpus = 2u << round % 4;

		nic_random(128, cpus);
		servers_random();
		for (unsigned i = 0; i < 2000; i++) {
			struct flow flow = source(family);
			int cpu = learn_predict(&learn[family], &flow), really = truth(&flow);

			if (i >= 500) {
				asked++;
				known += cpu >= 0;
			}
			wrong += cpu >= 0 && cpu != really;
			if (random_below(&state, 100) == 0)
				really = (really + 1 + (int)random_below(&state, cpus - 1)) %
					 (int)cpus;
			learn_observe(&learn[family], &flow, really, -1);
		}
		cr_expect_eq(learn[family].state, LEARN_KNOWN, "round %u", round);
	}
	/* Asked for is fewer than 1 %, 1,200; what is believed too soon shows in dozens. */
	cr_expect_lt(wrong, 10, "%u wrong", wrong);
	cr_expect_gt(known, asked * 9 / 10, "%u of %u known", known, asked);
}

Test(learn, noise_outgoing, .timeout = 60)
{
	noise(FLOW_IPV4, outgoing);
	noise(FLOW_IPV6, outgoing);
}

Test(learn, noise_incoming, .timeout = 60)
{
	noise(FLOW_IPV4, incoming);
	noise(FLOW_IPV6, incoming);
}

/* Another key under load: noticed, forgotten, learned anew. */
Test(learn, a_changed_nic_is_learned_anew, .timeout = 60)
{
	for (unsigned round = 0; round < 100; round++) {
		unsigned family = round % 2, cpus = 2u << round / 2 % 3, wrong = 0;
		struct learn *l = &learn[family];

		nic_random(128, cpus);
		servers_random();
		watch(family, outgoing, 400);
		cr_assert_eq(l->state, LEARN_KNOWN);
		if (round % 3 == 0) { /* the interrupts were moved */
			for (unsigned i = 0; i < cpus; i++)
				nic.queue_cpu[i] = (int16_t)((nic.queue_cpu[i] + 1) % (int)cpus);
		} else {
			random_bytes(&state, nic.hash.key, 40);
		}
		for (unsigned i = 0; i < 300; i++) {
			struct flow flow = outgoing(family);
			int cpu = learn_predict(l, &flow), really = truth(&flow);

			wrong += cpu >= 0 && cpu != really;
			learn_observe(l, &flow, really, -1);
		}
		cr_assert_lt(wrong, 30);
		cr_assert_eq(known_of(family, outgoing, 50), 50, "round %u", round);
	}
}

/* A server seen for the first time, with a wrong CPU: nothing is said of it on that alone. */
Test(learn, one_observation_is_not_believed)
{
	unsigned wrong = 0, known = 0;

	for (unsigned i = 0; i < 20 * 200; i++) {
		struct flow flow = random_flow(&state, AF_INET);

		if (i % 200 == 0) {
			servers_random();
			nic_random(128, 4);
			watch(FLOW_IPV4, outgoing, 300);
		}
		memcpy(flow.local, servers[0][0].local, 16);
		flow.remote_port = 443;
		for (unsigned n = 0; n < 4; n++) {
			flow.local_port = (uint16_t)(40000 + random_below(&state, 1000));
			int cpu = learn_predict(&learn[0], &flow), really = truth(&flow);

			wrong += cpu >= 0 && cpu != really;
			known += n == 3 && cpu == really;
			if (n == 0 && i % 10 == 0) /* 2 % of all observations */
				really = (int)random_below(&state, 4);
			learn_observe(&learn[0], &flow, really, -1);
		}
	}
	/* Of 16,000 predictions, half of what was wrong in what was seen. It is 240 when one
	 * observation is believed. */
	cr_expect_lt(wrong, 160, "%u", wrong);
	cr_expect_gt(known, 3300, "%u", known);
}

/* What is known stays known while clients from anywhere teach more: a vector that is new, and not
 * yet confirmed, has no part in flows that went without it. */
Test(learn, what_is_known_stays_known, .timeout = 60)
{
	unsigned lost = 0;

	for (unsigned round = 0; round < 100; round++) {
		unsigned family = round % 2, cpus = 2u << round / 2 % 3;

		nic_random(128, cpus);
		servers_random();
		for (unsigned i = 0; i < 100; i++) {
			watch(family, incoming, i < 20);
			watch(family, outgoing, 2);
		}
		if (known_of(family, outgoing, 100) < 100)
			continue; /* the range of ports has a rank hazard, or one is rare */
		for (unsigned i = 0; i < 200; i++) {
			watch(family, incoming, 1);
			lost += 10 - known_of(family, outgoing, 10);
		}
	}
	cr_expect_lt(lost, 200, "%u of 200,000", lost);
}

/* Three CPUs: a difference that would make two of them one is turned away at once. */
Test(learn, cpus_are_kept_apart)
{
	struct flow flow = servers[0][0];

	flow.family = AF_INET;
	learn_init(&learn[0], FLOW_IPV4);
	for (int cpu = 0; cpu < 3; cpu++) {
		flow.local_port = (uint16_t)cpu;
		cr_expect_eq(learn_observe(&learn[0], &flow, cpu, -1), LEARN_TAUGHT);
	}
	flow.local_port = 3;
	cr_expect_eq(learn_observe(&learn[0], &flow, 0, -1), LEARN_CONTRADICTED);
	flow.local_port = 4;
	cr_expect_eq(learn_observe(&learn[0], &flow, 0, -1), LEARN_TAUGHT);
	flow.local_port = 5;
	cr_expect_eq(learn_observe(&learn[0], &flow, 1, -1), LEARN_CONFIRMED);
}

/* What follows no linear rule is refused, and nothing is predicted of it. */
static unsigned refused_wrong;

static void expect_refused(source_fn source, int (*cpu_of)(const struct flow *), int own,
			   unsigned within)
{
	for (unsigned f = 0; f < FLOW_FAMILIES; f++) {
		for (unsigned i = 0; i < within; i++) {
			struct flow flow = source(f);
			int cpu = learn_predict(&learn[f], &flow), really = cpu_of(&flow);

			refused_wrong += cpu >= 0 && cpu != really;
			learn_observe(&learn[f], &flow, really, own < 0 ? own : really);
		}
		cr_expect_eq(learn[f].state, LEARN_REFUSED);
		cr_expect_neq(learn[f].refusal, LEARN_NOT_REFUSED);
	}
}

static int chance(const struct flow *flow)
{
	(void)flow;
	return (int)random_below(&state, 4);
}

Test(learn, what_is_not_linear_is_refused, .timeout = 60)
{
	refused_wrong = 0;
	for (unsigned round = 0; round < 30; round++) {
		servers_random();
		nic_random(128, 3); /* three CPUs */
		expect_refused(outgoing, truth, -1, 600);
		nic_random(128, 4); /* a skewed table */
		for (unsigned i = 0; i < 128; i++)
			nic.table.queue[i] = (uint16_t)(i % 7 % 4);
		expect_refused(outgoing, truth, -1, 600);
		nic_random(128, 4); /* packets sprayed, or moved by something else */
		expect_refused(outgoing, chance, -1, 600);
		nic_random(128, 3);
		expect_refused(incoming, truth, -1, 1500);
	}
	cr_expect_eq(refused_wrong, 0, "%u wrong", refused_wrong); /* of 100,000 */
}

/* All of a table follows a rule but one entry in 128: that is what one wrong observation in a
 * hundred looks like, too. The rule is told, and is wrong where the table leaves it. */
Test(learn, a_rule_with_an_exception_is_told, .timeout = 60)
{
	unsigned told = 0, wrong = 0;

	for (unsigned round = 0; round < 40; round++) {
		servers_random();
		nic_random(128, 4);
		nic.table.queue[round] = (uint16_t)(round % 4 ^ 1);
		for (unsigned i = 0; i < 1000; i++) {
			struct flow flow = outgoing(FLOW_IPV4);
			int cpu = learn_predict(&learn[FLOW_IPV4], &flow), really = truth(&flow);

			told += cpu >= 0;
			wrong += cpu >= 0 && cpu != really;
			learn_observe(&learn[FLOW_IPV4], &flow, really, -1);
		}
	}
	cr_expect_gt(told, 36000, "%u", told);
	cr_expect_lt(wrong, told / 100, "%u of %u", wrong, told);
}

Test(learn, why_it_is_refused)
{
	struct flow flow;

	servers_random();
	nic_random(128, 4);
	expect_refused(outgoing, chance, 0, 600);
	cr_expect_eq(learn[0].refusal, LEARN_FOLLOWS_SENDER);
	nic_random(128, 3);
	expect_refused(outgoing, truth, -1, 600);
	cr_expect_eq(learn[0].refusal, LEARN_NOT_AFFINE);
	nic_random(128, 4);
	for (unsigned i = 0; i < 600; i++) {
		flow = servers[0][i % SERVERS];
		flow.local_port = (uint16_t)(40000 + random_below(&state, 4));
		learn_observe(&learn[0], &flow, chance(&flow), -1);
	}
	cr_expect_eq(learn[0].refusal, LEARN_NOT_BY_FLOW, "%s, %u of %u",
		     learn_refusal_text(learn[0].refusal), learn[0].same_flow,
		     learn[0].contradictions);
	cr_expect(strlen(learn_refusal_text(learn[0].refusal)) > 10);
}

/* All traffic on one CPU teaches nothing about others. */
Test(learn, one_cpu_is_not_a_map)
{
	servers_random();
	nic_random(128, 1);
	watch(FLOW_IPV4, outgoing, 300);
	cr_expect_eq(learn[0].state, LEARN_WATCHING);
	cr_expect_not(learn_arrival(&learned, &learn[0], NULL, &room));
}
