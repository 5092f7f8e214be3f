/* The ports found for a CPU are exactly those that a brute-force hash of all ports finds: none
 * missing, none wrong, none twice. */
#include "shim/decide/ports.h"
#include "tests/unit/reference.h"
#include <criterion/criterion.h>

static struct arrival nic;
static struct ports ports;
static struct port_range range;
static struct port_set set;
static int16_t truth[65536];
static uint8_t found[65536];

static void set_walk(void)
{
	memset(found, 0, sizeof(found));
	cr_assert_leq(set.positions, 65536u);
	for (uint32_t i = 0; i < set.positions; i++)
		found[port_set_at(&set, i)]++;
	found[0] = 0; /* positions without a port */
}

/* Compares what the set holds with the truth for these CPUs; returns how many ports it holds. */
static unsigned expect_exact(enum port_verdict verdict, const cpu_set_t *cpus)
{
	unsigned matching = 0;

	set_walk();
	for (unsigned port = 1; port < 65536; port++) {
		bool want = port >= range.lo && port <= range.hi && truth[port] >= 0 &&
			    CPU_ISSET(truth[port], cpus);

		if (found[port] != want)
			cr_assert_fail("port %u found %u times, CPU %d", port, found[port],
				       truth[port]);
		matching += want;
	}
	if (matching)
		cr_assert_eq(verdict, PORTS_FOUND);
	if (range.lo <= 1 && range.hi == 65535 && !matching)
		cr_assert(verdict != PORTS_HASH_UNKNOWN);
	return matching;
}

static void random_range(uint64_t *state, unsigned round)
{
	uint16_t a = (uint16_t)random_next(state), b = (uint16_t)random_next(state);

	if (round % 4 == 0)
		port_range_init(&range, &ports, 1, 65535);
	else if (round % 4 == 1)
		port_range_init(&range, &ports, 32768, 60999);
	else if (round % 4 == 2)
		port_range_init(&range, &ports, (a < b ? a : b) | 1, a < b ? b | 1 : a | 1);
	else
		port_range_init(&range, &ports, a | 1,
				(a | 1) + (b % 300u) > 65535 ? 65535
							     : (uint16_t)((a | 1) + b % 300u));
}

/* Every CPU of the NIC as now filled, for one random flow of each family. */
static void expect_every_cpu(uint64_t *state, unsigned round)
{
	ports_init(&ports, &nic);
	random_range(state, round);
	for (int family = 0; family < 2; family++) {
		struct flow flow = random_flow(state, family ? AF_INET6 : AF_INET);

		reference_ports(truth, &nic, flow);
		for (int cpu = 0; cpu < 9; cpu++) {
			struct port_target target;
			cpu_set_t cpus;

			CPU_ZERO(&cpus);
			CPU_SET(cpu, &cpus);
			if (cpu == 8) { /* a home of several CPUs */
				CPU_SET(0, &cpus);
				CPU_SET(2, &cpus);
				CPU_SET(3, &cpus);
			}
			port_target_init(&target, &ports, &cpus);
			expect_exact(port_set_init(&set, &nic, &ports, &target, &range, &flow),
				     &cpus);
		}
	}
}

static void random_nic(uint64_t *state, unsigned size, unsigned queues, unsigned cpus)
{
	uint8_t key[52];
	unsigned len = random_below(state, 2) ? 40 : 52;

	random_bytes(state, key, len);
	arrival_fill(&nic, key, len, size, queues, cpus);
	nic.hash.initial = random_below(state, 4) ? 0 : UINT32_MAX;
}

static const unsigned sizes[] = {128, 512, 2048, 64, 4096, 1, 2};
static const unsigned queues[] = {2, 3, 4, 8, 5, 16, 64, 1};

Test(ports, random_keys_and_tables)
{
	uint64_t state = 2;

	for (unsigned round = 0; round < 56; round++) {
		random_nic(&state, sizes[round % 7], queues[round % 8], 8);
		expect_every_cpu(&state, round);
	}
}

Test(ports, symmetric_transforms)
{
	uint64_t state = 3;

	for (unsigned round = 0; round < 40; round++) {
		random_nic(&state, sizes[round % 4], queues[round % 5], 8);
		nic.hash.transform =
			round % 2 ? TRANSFORM_SYMMETRIC_XOR : TRANSFORM_SYMMETRIC_OR_XOR;
		expect_every_cpu(&state, round / 2);
	}
}

/* Under symmetric-or-xor what a port bit does depends on the remote port. */
Test(ports, symmetric_or_xor_follows_the_remote_port)
{
	uint64_t state = 10;
	struct port_target target;
	struct flow flow;
	cpu_set_t cpus;

	random_nic(&state, 128, 4, 4);
	nic.hash.transform = TRANSFORM_SYMMETRIC_OR_XOR;
	ports_init(&ports, &nic);
	CPU_ZERO(&cpus);
	CPU_SET(1, &cpus);
	port_target_init(&target, &ports, &cpus);
	flow = random_flow(&state, AF_INET);
	for (unsigned round = 0; round < 12; round++) {
		if (round % 3 == 0)
			flow.remote_port = (uint16_t)random_next(&state);
		port_range_init(&range, &ports, round % 2 ? 1 : 9000, 60000);
		reference_ports(truth, &nic, flow);
		expect_exact(port_set_init(&set, &nic, &ports, &target, &range, &flow), &cpus);
	}
}

Test(ports, tables_of_any_size_and_content)
{
	static const unsigned odd[] = {96, 3, 100, 127, 384, 6};
	uint64_t state = 4;

	for (unsigned round = 0; round < 24; round++) {
		random_nic(&state, odd[round % 6], 6, 6);
		for (unsigned i = 0; i < nic.table.size && round % 2; i++)
			nic.table.queue[i] = (uint16_t)random_below(&state, 1 + i % 6);
		expect_every_cpu(&state, round);
	}
	for (unsigned round = 0; round < 16; round++) { /* skewed, queues without a CPU */
		random_nic(&state, 128, 6, 6);
		for (unsigned i = 0; i < 128; i++)
			nic.table.queue[i] = (uint16_t)random_below(&state, 1 + i % 6);
		nic.queue_cpu[3] = -1;
		expect_every_cpu(&state, round);
	}
}

Test(ports, rps)
{
	static const unsigned counts[] = {1, 2, 3, 4, 5, 8, 12, 100, 1000};
	uint64_t state = 5;

	for (unsigned round = 0; round < 36; round++) {
		random_nic(&state, 128, 4, 4);
		nic.rps.count = (uint16_t)counts[round % 9];
		for (unsigned i = 0; i < nic.rps.count; i++)
			nic.rps.cpu[i] = (uint16_t)(round % 2 ? i % 8 : random_below(&state, 8));
		nic.hash.transform = round % 3;
		expect_every_cpu(&state, round);
	}
}

/* Keys whose port bits depend on each other: what cannot be reached is said, the rest is exact. */
Test(ports, rank_deficient_keys)
{
	uint64_t state = 6;
	uint8_t key[40];
	unsigned unreachable = 0, asked = 0;

	for (unsigned round = 0; round < 24; round++) {
		for (unsigned i = 0; i < 40; i++)
			key[i] = i % 2 ? 0x5a : 0x6d;
		arrival_fill(&nic, key, 40, sizes[round % 3], 4, 4);
		nic.hash.transform = round % 3;
		expect_every_cpu(&state, round / 3);
		if (nic.hash.transform == TRANSFORM_SYMMETRIC_XOR)
			cr_assert_eq(ports.space[0].rank, 0);

		for (int cpu = 0; cpu < 4; cpu++, asked++) {
			struct flow flow = random_flow(&state, AF_INET);
			struct port_target target;
			cpu_set_t cpus;
			bool some = false;

			CPU_ZERO(&cpus);
			CPU_SET(cpu, &cpus);
			port_target_init(&target, &ports, &cpus);
			port_range_init(&range, &ports, 1, 65535);
			reference_ports(truth, &nic, flow);
			for (unsigned port = 1; port < 65536; port++)
				some |= truth[port] == cpu;
			enum port_verdict verdict =
				port_set_init(&set, &nic, &ports, &target, &range, &flow);
			cr_assert_eq(verdict, some ? PORTS_FOUND : PORTS_UNREACHABLE);
			cr_assert_eq(port_set_reachable(&set) > 0, some);
			unreachable += !some;
		}
	}
	cr_assert(unreachable > 0 && unreachable < asked);
}

/* A set that is moved to another remote side holds exactly the ports of a new one. */
Test(ports, moved_to_other_remotes)
{
	uint64_t state = 11;
	unsigned moved = 0;

	for (unsigned round = 0; round < 12; round++) {
		unsigned n = random_below(&state, 7);
		struct port_target target;
		struct flow first = {0};
		cpu_set_t cpus;

		random_nic(&state, sizes[n], queues[random_below(&state, 8)], 4);
		if (round % 3 == 0)
			nic.hash.transform = (enum hash_transform)(round / 3 % 3);
		if (round % 5 == 0)
			nic.hash.fields[0] = nic.hash.fields[1] = FIELDS_ADDRESSES;
		ports_init(&ports, &nic);
		random_range(&state, round);
		CPU_ZERO(&cpus);
		CPU_SET(random_below(&state, 4), &cpus);
		port_target_init(&target, &ports, &cpus);
		for (unsigned i = 0; i < 8; i++) {
			struct flow flow = random_flow(&state, i / 4 ? AF_INET6 : AF_INET);
			enum port_verdict verdict = PORTS_FOUND;

			if (i % 4 == 0)
				first = flow;
			else if (i % 4 < 3)
				memcpy(flow.local, first.local, sizeof(flow.local));
			if (!port_set_move(&set, &flow) || i == 0)
				verdict = port_set_init(&set, &nic, &ports, &target, &range, &flow);
			else
				moved++;
			reference_ports(truth, &nic, flow);
			expect_exact(verdict, &cpus);
		}
	}
	cr_expect_gt(moved, 15, "%u", moved);
}

Test(ports, addresses_only)
{
	uint64_t state = 7;

	for (unsigned round = 0; round < 8; round++) {
		random_nic(&state, 128, 4, 4);
		nic.hash.fields[0] = nic.hash.fields[1] = FIELDS_ADDRESSES;
		expect_every_cpu(&state, round);
	}
}

Test(ports, what_is_not_known_has_no_ports)
{
	struct flow flow = {.family = AF_INET6};
	struct port_target target;
	cpu_set_t cpus;
	uint64_t state = 8;

	random_nic(&state, 128, 4, 4);
	nic.hash.key_len = 16; /* enough for IPv4 alone */
	arrival_seal(&nic);
	ports_init(&ports, &nic);
	port_range_init(&range, &ports, 1, 65535);
	CPU_ZERO(&cpus);
	CPU_SET(2, &cpus);
	port_target_init(&target, &ports, &cpus);
	cr_expect_eq(port_set_init(&set, &nic, &ports, &target, &range, &flow), PORTS_HASH_UNKNOWN);
	cr_expect_eq(set.positions, 0);
	flow.family = AF_INET;
	cr_expect_eq(port_set_init(&set, &nic, &ports, &target, &range, &flow), PORTS_FOUND);
	CPU_ZERO(&cpus);
	CPU_SET(4, &cpus);
	port_target_init(&target, &ports, &cpus);
	cr_expect_eq(port_set_init(&set, &nic, &ports, &target, &range, &flow), PORTS_NO_QUEUE);
	cr_expect_eq(set.positions, 0);
}

/* Ascending, complete and counted, straight from the space, also for columns of no key at all. */
Test(ports, space_enumerates_in_order)
{
	uint64_t state = 9;

	for (unsigned round = 0; round < 300; round++) {
		unsigned bits = random_below(&state, 17);
		uint16_t column[16];
		struct port_interval interval;
		struct port_space space;
		uint16_t a = (uint16_t)random_next(&state), b = (uint16_t)random_next(&state);

		for (unsigned i = 0; i < 16; i++) /* every third round: few independent columns */
			column[i] = (uint16_t)random_next(&state) & (round % 3 ? 0xffff : 0x0211);
		port_space_init(&space, column, bits);
		port_interval_init(&interval, &space, a < b ? a : b, a < b ? b : a);
		for (unsigned probe = 0; probe < 8; probe++) {
			uint16_t syndrome = (uint16_t)(random_next(&state) & ((1u << bits) - 1));
			uint32_t n = 0;
			uint16_t port;

			for (uint32_t p = interval.lo; p <= interval.hi; p++) {
				uint16_t made = 0;

				for (unsigned i = 0; i < 16; i++)
					made ^= p >> i & 1 ? column[i] : 0;
				if ((made & ((1u << bits) - 1)) != syndrome)
					continue;
				if (!port_space_nth(&space, &interval, syndrome, n++, &port) ||
				    port != p)
					cr_assert_fail("port %u, the %u. of %04x", p, n, syndrome);
			}
			if (!port_space_reaches(&space, syndrome))
				cr_assert_eq(n, 0);
			else
				cr_assert_not(
					port_space_nth(&space, &interval, syndrome, n, &port));
			cr_assert_eq(port_space_count(&space, &interval, syndrome), n);
			cr_assert_leq(n, interval.most);
		}
	}
}
