/* The order in which ports are tried: every one once before any again, at a start nobody can guess,
 * and few tries however full the range is. */
#include "shim/decide/port_pick.h"
#include "tests/unit/reference.h"
#include <criterion/criterion.h>
#include <pthread.h>

static struct arrival nic;
static struct ports ports;
static struct port_range range;
static struct port_target target;
static struct port_set set;
static struct port_pick pick;
static struct flow flow;
static uint64_t state = 1;

static void secret_new(void)
{
	uint8_t secret[16];

	random_bytes(&state, secret, 16);
	port_pick_init(&pick, secret);
}

static void ask(int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	port_target_init(&target, &ports, &cpus);
	cr_assert_eq(port_set_init(&set, &nic, &ports, &target, &range, &flow), PORTS_FOUND);
}

static void setup(unsigned size, unsigned queues, int family, uint16_t lo, uint16_t hi)
{
	uint8_t key[52];

	random_bytes(&state, key, 52);
	arrival_fill(&nic, key, 52, size, queues, queues);
	ports_init(&ports, &nic);
	port_range_init(&range, &ports, lo, hi);
	flow = random_flow(&state, family);
	ask((int)random_below(&state, queues));
	secret_new();
}

/* Matching ports of the question, into `list`. */
static unsigned matching(uint16_t *list)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < set.positions; i++) {
		uint16_t port = port_set_at(&set, i);

		if (port)
			list[n++] = port;
	}
	return n;
}

Test(port_pick, every_port_once_before_any_again)
{
	static const unsigned sizes[] = {128, 2048, 96, 512, 3}, queues[] = {2, 64, 6, 3, 3};
	static uint16_t list[65536];
	static uint8_t seen[65536];

	for (unsigned round = 0; round < 20; round++) {
		struct port_choice choice = {0};

		setup(sizes[round % 5], queues[round % 5], round % 2 ? AF_INET : AF_INET6,
		      round % 3 ? 32768 : 1000, round % 3 ? 60999 : 1999);
		unsigned n = matching(list);

		memset(seen, 0, sizeof(seen));
		for (unsigned lap = 1; lap <= 3; lap++) {
			for (unsigned i = 0; i < n; i++) {
				cr_assert(port_pick_next(&pick, &set, &flow, &choice));
				cr_assert_eq(++seen[choice.port], lap);
			}
		}
		for (unsigned i = 0; i < n; i++)
			cr_assert_eq(seen[list[i]], 3);
	}
}

Test(port_pick, starts_cannot_be_told_from_other_destinations)
{
	struct port_choice choice = {0};
	uint16_t first[200];
	unsigned same = 0;

	setup(128, 2, AF_INET, 32768, 60999);
	for (unsigned i = 0; i < 200; i++) {
		if (i < 100)
			secret_new(); /* one destination, other secrets; then the reverse */
		else
			flow.remote[3]++, ask(0);
		port_pick_next(&pick, &set, &flow, &choice);
		first[i] = choice.port;
		for (unsigned j = 0; j < i; j++)
			same += first[i] == first[j];
	}
	cr_expect_lt(same, 10); /* of 19,900 pairs, among some 14,000 ports */
}

Test(port_pick, the_order_is_secret_too)
{
	static uint64_t follows[65536]; /* by port: which ports came next, as a small filter */
	struct port_choice choice = {0};
	int most = 0;

	setup(128, 2, AF_INET, 40000, 40063);
	for (unsigned i = 0; i < 2000; i++) {
		secret_new();
		port_pick_next(&pick, &set, &flow, &choice);
		uint16_t port = choice.port;

		port_pick_next(&pick, &set, &flow, &choice);
		follows[port] |= 1ull << choice.port % 64;
		if (__builtin_popcountll(follows[port]) > most)
			most = __builtin_popcountll(follows[port]);
	}
	cr_expect_gt(most, 6);
}

/* A host on which `busy` ports are taken. */
static uint8_t busy[65536];

static unsigned connect_model(unsigned tries, uint16_t *got)
{
	struct port_choice choice = {0};

	*got = 0;
	for (unsigned n = 1; n <= tries; n++) {
		if (!port_pick_next(&pick, &set, &flow, &choice))
			return n;
		if (!busy[choice.port]) {
			*got = choice.port;
			port_pick_got(&pick, &choice);
			return n;
		}
		port_pick_taken(&pick, &choice);
	}
	return tries;
}

/* The one before walked here in the same order, and its ports are in TIME_WAIT. */
Test(port_pick, a_run_of_taken_ports_is_left)
{
	uint8_t secret[16];

	for (unsigned round = 0; round < 50; round++) {
		setup(128, 2 + round % 3, round % 2 ? AF_INET : AF_INET6, 32768, 60999);
		memset(busy, 0, sizeof(busy));
		random_bytes(&state, secret, 16);
		port_pick_init(&pick, secret);
		for (unsigned i = 0; i < 1000; i++) {
			struct port_choice choice = {0};

			cr_assert(port_pick_next(&pick, &set, &flow, &choice));
			busy[choice.port] = 1;
		}
		port_pick_init(&pick, secret);
		for (unsigned i = 0; i < 100; i++) {
			uint16_t got;

			cr_assert_leq(connect_model(16, &got), 16);
			cr_assert(got, "connect %u of round %u found no port", i, round);
		}
	}
}

static double tries_a_connect(unsigned connects, double *aligned)
{
	unsigned tries = 0, hits = 0;
	uint16_t port;

	for (unsigned i = 0; i < connects; i++) {
		tries += connect_model(16, &port);
		hits += port != 0;
	}
	*aligned = (double)hits / connects;
	return (double)tries / connects;
}

Test(port_pick, a_nearly_full_range_costs_few_tries)
{
	static uint16_t list[65536];
	double aligned;

	for (unsigned round = 0; round < 6; round++) {
		setup(128, round % 2 ? 2 : 8, AF_INET, 32768, 60999);
		unsigned n = matching(list), free_ports = n / 1000 + 3;

		memset(busy, 1, sizeof(busy));
		for (unsigned i = 0; i < free_ports; i++)
			busy[list[random_below(&state, n)]] = 0;
		tries_a_connect(3000, &aligned); /* long enough to have met every port */
		cr_expect_lt(tries_a_connect(2000, &aligned), 1.2);
		cr_expect_gt(aligned, 0.99);
	}
}

/* Every connect takes a port, and some older connection's comes free: as much taken throughout, and
 * nobody says which came free. Returns the share of connects that got a port. */
static double churn(unsigned free_percent, double *tries_each)
{
	static uint16_t list[65536], held[65536];
	unsigned tries = 0, got = 0, ours = 0;
	uint16_t port;

	setup(128, 4, AF_INET6, 32768, 60999);
	unsigned n = matching(list);

	memset(busy, 0, sizeof(busy));
	for (unsigned i = 0; i < n; i++)
		busy[list[i]] = random_below(&state, 100) >= 2 * free_percent;
	for (unsigned i = 0; i < 40000; i++) {
		unsigned used = connect_model(16, &port);

		if (i >= 10000) {
			tries += used;
			got += port != 0;
		}
		if (!port)
			continue;
		busy[port] = 1;
		held[ours++] = port;
		if (ours > n * free_percent / 100) {
			unsigned leaves = random_below(&state, ours);

			busy[held[leaves]] = 0;
			held[leaves] = held[--ours];
		}
	}
	*tries_each = (double)tries / 30000;
	return got / 30000.0;
}

Test(port_pick, churn)
{
	static const struct {
		unsigned free_percent;
		double got, tries;
	} cases[] = {{50, 0.999, 1.5}, {25, 0.99, 4.0}, {10, 0.4, 7.0}, {1, 0.01, 2.1}};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		unsigned percent = cases[i].free_percent;
		double tries, got = churn(percent, &tries);

		cr_expect_geq(got, cases[i].got, "%u %% free: %f", percent, got);
		cr_expect_lt(tries, cases[i].tries, "%u %% free: %f", percent, tries);
	}
}

/* The kernel gives every even port out before the first odd one. Nobody has met most of them yet.
 */
Test(port_pick, half_full_as_the_kernel_fills)
{
	unsigned tries = 0;
	uint16_t port;

	setup(128, 2, AF_INET, 32768, 60999);
	for (unsigned i = 0; i < 65536; i++)
		busy[i] = !(i & 1);
	for (unsigned i = 0; i < 300; i++) {
		unsigned used = connect_model(16, &port);

		cr_assert(port);
		tries += i >= 20 ? used : 0;
	}
	cr_expect_lt(tries, 280 * 1.1, "%u", tries);
	/* The other way round, later. */
	for (unsigned i = 0; i < 65536; i++)
		busy[i] = i & 1;
	for (unsigned i = 0; i < 300; i++)
		connect_model(16, &port);
	tries = 0;
	for (unsigned i = 0; i < 300; i++)
		tries += connect_model(16, &port);
	cr_expect_lt(tries, 300 * 1.5, "%u", tries);
}

Test(port_pick, a_full_range_is_given_up_fast_and_found_free_again)
{
	static uint16_t list[65536];
	double aligned;

	setup(128, 2, AF_INET, 32768, 60999);
	unsigned n = matching(list);

	memset(busy, 1, sizeof(busy));
	tries_a_connect(n / 16 + 200, &aligned);
	cr_expect_eq(aligned, 0.0);
	/* Known to be full: one system call, then it is the kernel's turn. */
	cr_expect_leq(tries_a_connect(1000, &aligned), 2.0);
	memset(busy, 0, sizeof(busy));
	cr_expect_eq(tries_a_connect(1000, &aligned), 1.0);
	cr_expect_eq(aligned, 1.0);
}

/* Nothing is worth a try any more: said, and no port that was tried before is left in the choice.
 */
Test(port_pick, nothing_left)
{
	setup(128, 4, AF_INET, 40000, 40199);
	for (unsigned i = 0; i < 200; i++) {
		struct port_choice choice = {0};

		while (port_pick_next(&pick, &set, &flow, &choice)) {
			cr_assert(choice.port);
			port_pick_taken(&pick, &choice);
		}
		cr_assert_eq(choice.port, 0);
		cr_assert_not(port_pick_next(&pick, &set, &flow, &choice), "and it stays so");
	}
}

/* The ports that the pick offers in a lap are those of the set: what was remembered of the same
 * destination before something changed hides none and offers no other. */
static void expect_all(const char *change)
{
	static uint16_t list[65536];
	static uint8_t seen[65536];
	struct port_choice choice = {0};
	unsigned n = matching(list);

	memset(seen, 0, sizeof(seen));
	for (unsigned i = 0; i < n; i++) {
		cr_assert(port_pick_next(&pick, &set, &flow, &choice), "%s", change);
		cr_assert_not(seen[choice.port]++, "%s: port %u again", change, choice.port);
	}
	for (unsigned i = 0; i < n; i++)
		cr_assert(seen[list[i]], "%s: port %u is hidden", change, list[i]);
}

/* Meets every port, all of them taken, so that taken and empty places are known. */
static void meet_all(void)
{
	struct port_choice choice = {0};

	for (unsigned i = 0; i < 2 * set.positions; i++)
		if (port_pick_next(&pick, &set, &flow, &choice))
			port_pick_taken(&pick, &choice);
}

static void ask_two(int one, int other)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(one, &cpus);
	CPU_SET(other, &cpus);
	port_target_init(&target, &ports, &cpus);
	memset(&set, 0, sizeof(set));
	cr_assert_eq(port_set_init(&set, &nic, &ports, &target, &range, &flow), PORTS_FOUND);
}

static void nic_changed(void)
{
	arrival_seal(&nic);
	ports_init(&ports, &nic);
	port_range_init(&range, &ports, range.lo, range.hi);
	ask_two(0, 1);
}

Test(port_pick, what_is_remembered_is_of_one_nic_and_home)
{
	/* A table that is no power of two: ports are checked one by one. */
	for (unsigned round = 0; round < 2; round++) {
		setup(round ? 96 : 128, 4, AF_INET, 40000, 40999);
		ask_two(0, 1);
		meet_all();
		nic.hash.key[8] ^= 1; /* of addresses */
		nic_changed();
		expect_all("key of the addresses");
		meet_all();
		nic.hash.key[13] ^= 1; /* of ports */
		nic_changed();
		expect_all("key of the ports");
		meet_all();
		nic.table.queue[3] = (nic.table.queue[3] + 2) % 4;
		nic_changed();
		expect_all("table");
		meet_all();
		nic.queue_cpu[2] = 0, nic.queue_cpu[0] = 2;
		nic_changed();
		expect_all("CPUs of the queues");
		meet_all();
		nic.hash.transform = TRANSFORM_SYMMETRIC_XOR;
		nic_changed();
		expect_all("transform");
		meet_all();
		nic.hash.initial = 1;
		nic_changed();
		expect_all("initial");
		meet_all();
		ask_two(0, 3);
		expect_all("another home");
		meet_all();
		range.fingerprint = 1;
		ask_two(0, 3);
		expect_all("other ports are barred");
	}
}

/* Ports that nobody may have are met once, where anything is remembered, and never offered again.
 */
Test(port_pick, barred_ports)
{
	struct port_choice choice = {0};
	unsigned met = 0;

	setup(128, 2, AF_INET, 40000, 40999);
	cr_assert(port_pick_next(&pick, &set, &flow, &choice));
	port_pick_taken(&pick, &choice);
	memset(busy, 0, sizeof(busy));
	for (unsigned i = 0; i < 5000; i++) {
		cr_assert(port_pick_next(&pick, &set, &flow, &choice));
		if (choice.port % 4)
			continue;
		cr_assert_not(busy[choice.port]++, "port %u again", choice.port);
		port_pick_barred(&pick, &choice);
		met++;
	}
	cr_assert_gt(met, 50);
}

/* One lap of a small range finds the taken ports; the walk then meets the others only. */
Test(port_pick, taken_ports_are_skipped)
{
	static uint16_t list[65536];
	unsigned wrong = 0;

	setup(128, 2, AF_INET, 40000, 40999);
	unsigned n = matching(list);

	memset(busy, 0, sizeof(busy));
	for (unsigned i = 0; i < n; i += 2)
		busy[list[i]] = 1;
	for (unsigned i = 0; i < 4 * n; i++) {
		struct port_choice choice = {0};

		cr_assert(port_pick_next(&pick, &set, &flow, &choice));
		if (!busy[choice.port])
			continue;
		port_pick_taken(&pick, &choice);
		if (i > 2 * n)
			wrong += !choice.again;
	}
	cr_expect_eq(wrong, 0);
}

Test(port_pick, more_destinations_than_are_kept)
{
	struct port_choice choice = {0};

	setup(128, 4, AF_INET, 32768, 60999);
	for (unsigned i = 0; i < 20000; i++) {
		struct arrival_place place;

		flow.remote[2] = (uint8_t)(i >> 8);
		flow.remote[3] = (uint8_t)i;
		ask(1);
		cr_assert(port_pick_next(&pick, &set, &flow, &choice));
		flow.local_port = choice.port;
		place = arrival_of(&nic, &flow);
		cr_assert_eq(place.cpu, 1);
		if (i % 3 == 0)
			port_pick_taken(&pick, &choice);
	}
}

/* Half of the ports were taken and are free now, with no word of it: two laps, and all are used. */
Test(port_pick, ports_that_came_free_are_found)
{
	static uint16_t list[65536];
	static uint8_t seen[65536];

	setup(128, 2, AF_INET, 40000, 43999);
	unsigned n = matching(list);

	memset(busy, 0, sizeof(busy));
	for (unsigned i = 0; i < n; i += 2)
		busy[list[i]] = 1;
	for (unsigned i = 0; i < 4 * n; i++) {
		struct port_choice choice = {0};

		cr_assert(port_pick_next(&pick, &set, &flow, &choice));
		if (busy[choice.port])
			port_pick_taken(&pick, &choice);
	}
	for (unsigned i = 0; i < 2 * n; i++) {
		struct port_choice choice = {0};

		cr_assert(port_pick_next(&pick, &set, &flow, &choice));
		seen[choice.port] = 1;
	}
	for (unsigned i = 0; i < n; i++)
		cr_assert(seen[list[i]]);
}

static _Atomic unsigned times[65536];
static unsigned a_share;

static void *picks(void *unused)
{
	struct port_choice choice = {0};

	for (unsigned i = 0; i < a_share; i++) {
		if (port_pick_next(&pick, &set, &flow, &choice))
			atomic_fetch_add(&times[choice.port], 1);
	}
	return unused;
}

Test(port_pick, threads_are_given_different_ports)
{
	static uint16_t list[65536];
	pthread_t thread[4];
	unsigned twice = 0;

	setup(128, 2, AF_INET, 1024, 65535);
	a_share = matching(list) / 4;
	for (unsigned i = 0; i < 4; i++)
		cr_assert_eq(pthread_create(&thread[i], NULL, picks, NULL), 0);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	for (unsigned port = 0; port < 65536; port++)
		twice += times[port] > 1;
	/* Only a thread that loses 64 races in a row may repeat a port. */
	cr_expect_lt(twice, a_share / 50, "%u", twice);
}
