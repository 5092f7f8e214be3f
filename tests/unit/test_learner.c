/* From nothing but (flow, CPU) to an arrival, whichever way leads there; and back to nothing. */
#include "shim/decide/learner.h"
#include "tests/unit/reference.h"
#include <criterion/criterion.h>

static struct arrival nic, published;
static struct learner learner;
static union learner_room room;
static bool is_published;
static uint64_t state = 1;
static struct flow server;

static int truth(const struct flow *flow)
{
	return reference_cpu(&nic, reference_hash(&nic.hash, flow));
}

/* As the library would: publish whenever something changed. Returns the wrong predictions. */
static unsigned run(unsigned count, bool sprayed)
{
	unsigned wrong = 0;

	for (unsigned i = 0; i < count; i++) {
		struct flow flow = server;

		flow.local_port = (uint16_t)(32768 + random_below(&state, 28232));
		flow.remote[3] = (uint8_t)random_below(&state, 6);
		int cpu = sprayed ? (int)random_below(&state, 4) : truth(&flow);

		if (is_published) {
			int told = arrival_of(&published, &flow).cpu;

			wrong += told >= 0 && told != cpu;
		}
		if (learner_observe(&learner, &flow, cpu, -1, &room))
			is_published = learner_arrival(&learner, &published, &room);
	}
	return wrong;
}

static unsigned known_of_200(void)
{
	unsigned known = 0;

	for (unsigned i = 0; i < 200 && is_published; i++) {
		struct flow flow = server;

		flow.local_port = (uint16_t)(32768 + random_below(&state, 28232));
		flow.remote[3] = (uint8_t)random_below(&state, 6);
		known += arrival_of(&published, &flow).cpu == truth(&flow);
	}
	return known;
}

static void nic_new(const uint8_t *key, unsigned cpus)
{
	uint8_t random[40];

	random_bytes(&state, random, 40);
	arrival_fill(&nic, key ? key : random, 40, 128, cpus, cpus);
	server = random_flow(&state, AF_INET);
}

static void begin(const struct rss_hash *reported)
{
	learner_init(&learner, reported);
	is_published = false;
}

Test(learner, linear)
{
	for (unsigned round = 0; round < 50; round++) {
		nic_new(NULL, 2u << round % 3);
		begin(NULL);
		cr_assert_eq(run(150, false), 0);
		cr_assert_eq(learner.way, LEARNER_LINEAR);
		cr_assert_eq(known_of_200(), 200);
	}
}

Test(learner, table_by_the_reported_key)
{
	for (unsigned round = 0; round < 10; round++) {
		nic_new(NULL, 3);
		begin(&nic.hash);
		run(2000, false);
		cr_assert_eq(learner.way, LEARNER_TABLE);
		cr_assert_geq(known_of_200(), 199);
		cr_assert_eq(run(1000, false), 0);
	}
}

Test(learner, table_by_a_published_key)
{
	nic_new(reference_microsoft_key, 3);
	begin(NULL);
	run(2000, false);
	cr_expect_eq(learner.way, LEARNER_GUESS);
	cr_expect_str_eq(learner.key_name, "Microsoft");
	cr_expect_geq(known_of_200(), 199);
}

Test(learner, nothing_from_a_secret_key_and_three_cpus_or_from_chance)
{
	for (unsigned round = 0; round < 10; round++) {
		nic_new(NULL, 3);
		begin(NULL);
		run(1000, false);
		cr_assert_eq(learner.way, LEARNER_NOTHING);
		cr_assert_not(is_published);
		cr_assert_eq(learner.family[FLOW_IPV4].refusal, LEARN_NOT_AFFINE);
		begin(&nic.hash);
		run(1000, true);
		cr_assert_eq(learner.way, LEARNER_NOTHING);
		cr_assert_not(is_published);
	}
}

/* One way leads to another when the NIC changes, within 300 connections. */
Test(learner, follows_the_nic)
{
	for (unsigned round = 0; round < 20; round++) {
		nic_new(NULL, 4);
		begin(NULL);
		run(200, false);
		cr_assert_eq(known_of_200(), 200);
		random_bytes(&state, nic.hash.key, 40);
		cr_assert_lt(run(300, false), 12);
		cr_assert_eq(known_of_200(), 200);
	}
	nic_new(NULL, 3);
	begin(&nic.hash);
	run(2000, false);
	cr_assert_eq(learner.way, LEARNER_TABLE);
	nic_new(NULL, 4); /* another key, round robin over four CPUs */
	cr_assert_lt(run(300, false), 20);
	cr_assert_eq(learner.way, LEARNER_LINEAR);
	cr_assert_eq(known_of_200(), 200);
}

/* A server seen once is not told of; seen twice it is. */
Test(learner, publishes_what_is_confirmed)
{
	struct flow other;

	nic_new(NULL, 4);
	begin(NULL);
	run(200, false);
	other = server;
	other.remote[0] ^= 0x80;
	other.local_port = 40001;
	learner_observe(&learner, &other, truth(&other), -1, &room);
	cr_expect(learner_arrival(&learner, &published, &room));
	cr_expect_eq(arrival_of(&published, &other).cpu, -1);
	other.local_port = 40007;
	cr_expect(learner_observe(&learner, &other, truth(&other), -1, &room));
	cr_expect(learner_arrival(&learner, &published, &room));
	cr_expect_eq(arrival_of(&published, &other).cpu, truth(&other));
}

/* What is published beside the arrival, and what is withheld. */
static struct learned learned;

Test(learner, conclusions)
{
	nic_new(NULL, 4);
	begin(NULL);
	learner_conclude(&learner, &learned, &room);
	cr_expect_eq(learned.way, LEARNER_NOTHING);
	cr_expect_not(learned.known[FLOW_IPV4]);
	cr_expect_not(learner_is_curious(&learner, FLOW_IPV4), "of what nobody has seen yet");
	run(20, false);
	cr_expect(learner_is_curious(&learner, FLOW_IPV4));
	run(280, false);
	learner_conclude(&learner, &learned, &room);
	cr_expect_eq(learned.way, LEARNER_LINEAR);
	cr_expect(learned.known[FLOW_IPV4]);
	cr_expect_not(learned.known[FLOW_IPV6]);
	cr_expect_eq(CPU_COUNT(&learned.receiving), 4);
	cr_expect(learned.spread[FLOW_IPV4]);
	cr_expect_not(learned.spread[FLOW_IPV6]);
	cr_expect_not(learner_is_curious(&learner, FLOW_IPV4));
	cr_expect(learner_is_sound(&learner));
	cr_expect(learned_is_sound(&learned));
}

/* A server that only accepts, on one port: what other local ports would do is not known, but flows
 * are spread, and over which CPUs. */
Test(learner, a_server_that_only_accepts)
{
	for (unsigned round = 0; round < 60; round++) {
		unsigned cpus = 2u << round % 4, family = round % 2;
		struct flow to = random_flow(&state, family ? AF_INET6 : AF_INET);

		nic_new(NULL, cpus);
		begin(NULL);
		for (unsigned i = 0; i < 100 + 20 * cpus; i++) {
			struct flow flow = to;

			flow.local_port = 8080;
			flow.remote[3] = (uint8_t)random_below(&state, 4);
			flow.remote_port = (uint16_t)(1024 + random_below(&state, 64000));
			learner_observe(&learner, &flow, truth(&flow), -1, &room);
			if (i % 50)
				continue;
			learner_conclude(&learner, &learned, &room);
			for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++)
				cr_assert(!CPU_ISSET(cpu, &learned.receiving) || cpu < cpus);
		}
		learner_conclude(&learner, &learned, &room);
		cr_assert(learned.spread[family], "round %u", round);
		cr_assert_not(learned.spread[!family]);
		cr_assert_not(learned.known[family]);
		cr_assert_not(learned.refused[family]);
		cr_assert_eq(CPU_COUNT(&learned.receiving), (int)cpus);
		cr_assert_not(learner_is_curious(&learner, family), "round %u", round);
	}
}

/* Clients of this host, each on a CPU of its own: a linear rule, but not a NIC's. */
Test(learner, a_rule_without_ports_is_not_believed)
{
	nic_new(NULL, 4);
	begin(NULL);
	for (unsigned i = 0; i < 500; i++) {
		struct flow flow = server;

		flow.remote[3] = (uint8_t)random_below(&state, 4);
		flow.remote_port = (uint16_t)random_below(&state, 65536);
		learner_observe(&learner, &flow, flow.remote[3], -1, &room);
	}
	cr_expect_eq(learner.way, LEARNER_LINEAR);
	learner_conclude(&learner, &learned, &room);
	cr_expect_not(learned.known[FLOW_IPV4]);
	cr_expect_not(learned.spread[FLOW_IPV4]);
	cr_expect_eq(learned.refusal[FLOW_IPV4], LEARN_NOT_BY_PORTS);
	cr_expect_eq(learned.arrival.table.size, 0);
}

/* A client on one CPU, the server that is called on another: what tells them apart is that one port
 * is a client's. */
Test(learner, two_kinds_of_flows_are_no_rule)
{
	nic_new(NULL, 4);
	begin(NULL);
	for (unsigned i = 0; i < 500; i++) {
		struct flow flow = server;
		bool made = i % 2;

		flow.remote[3] = (uint8_t)(200 * made + random_below(&state, 2));
		flow.remote_port = made ? 9000 : (uint16_t)(1024 + random_below(&state, 60000));
		flow.local_port = made ? (uint16_t)(32768 + random_below(&state, 28232)) : 8080;
		learner_observe(&learner, &flow, made, made ? (int)random_below(&state, 2) : -1,
				&room);
	}
	learner_conclude(&learner, &learned, &room);
	cr_expect_not(learned.known[FLOW_IPV4]);
	cr_expect_not(learned.spread[FLOW_IPV4]);
}

/* Clients of this host that stay on a CPU for a while, and so does the server behind: whatever fits
 * as long as they do says nothing. */
Test(learner, senders_that_stay_are_no_rule, .timeout = 60)
{
	unsigned learned_it = 0;

	for (unsigned round = 0; round < 60; round++) {
		unsigned server_cpu = 0, port = random_below(&state, 64000), told = 0;

		nic_new(NULL, 2);
		begin(NULL);
		for (unsigned i = 0; i < 3600; i++) {
			struct flow flow = server;
			bool made = i % 2;

			if (random_below(&state, 100) == 0)
				server_cpu = random_below(&state, 2);
			port += made ? 0 : 1 + random_below(&state, 4);
			flow.remote[3] = (uint8_t)(made ? 200 + i / 2 % 2 : i / 2 % 4);
			flow.remote_port = made ? 9000 : (uint16_t)(1024 + port % 32000 * 2);
			flow.local_port =
				made ? (uint16_t)(32768 + random_below(&state, 28232)) : 8080;
			learner_observe(&learner, &flow,
					made ? (int)server_cpu : (int)(i / 600 % 2),
					made ? (int)random_below(&state, 2) : -1, &room);
			told += learner.way != LEARNER_NOTHING;
		}
		learned_it += told > 0;
	}
	cr_expect_eq(learned_it, 0, "%u of 60", learned_it);
}

Test(learner, damage_is_seen)
{
	nic_new(NULL, 4);
	begin(NULL);
	run(300, false);
	learner_conclude(&learner, &learned, &room);
	learner.family[0].next = LEARN_KEPT;
	cr_expect_not(learner_is_sound(&learner));
	learner.family[0].next = 0;
	cr_expect(learner_is_sound(&learner));
	learner.family[1].space.cpus = LEARN_CPUS_MAX + 1;
	cr_expect_not(learner_is_sound(&learner));
	learned.arrival.queue_count = RSS_QUEUES_MAX + 1;
	cr_expect_not(learned_is_sound(&learned));
}

/* A wrong key was reported: after the table that seemed to go with it no longer holds, it is still
 * known what was reported. */
Test(learner, what_is_reported_is_kept)
{
	struct rss_hash reported = {.function = HASH_TOEPLITZ, .key_len = 40, .key = {1, 2, 3}};

	nic_new(NULL, 4);
	begin(&reported);
	learner.way = LEARNER_TABLE;
	learner.table.arrival.hash = reported;
	learner.table.arrival.table.size = 128;
	arrival_seal(&learner.table.arrival);
	run(400, true);
	cr_expect_neq(learner.way, LEARNER_TABLE);
	cr_expect_eq(learner.reported.key_len, 40);
	cr_expect_eq(learner.reported.key[1], 2);
}
