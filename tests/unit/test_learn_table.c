/* Learning the table alone, by a key that is known or guessed. */
#include "shim/decide/learn_table.h"
#include "tests/unit/reference.h"
#include <criterion/criterion.h>

static struct arrival nic;
static struct learn learn[FLOW_FAMILIES];
static struct learn_table table;
static struct learn_evidence evidence;
static uint64_t state = 1;

static int truth(const struct flow *flow)
{
	return reference_cpu(&nic, reference_hash(&nic.hash, flow));
}

static struct flow flow_any(unsigned i)
{
	return random_flow(&state, i % 2 ? AF_INET6 : AF_INET);
}

static void watch(unsigned count, unsigned wrong_percent)
{
	learn_init(&learn[0], FLOW_IPV4);
	learn_init(&learn[1], FLOW_IPV6);
	for (unsigned i = 0; i < count; i++) {
		struct flow flow = flow_any(i);
		bool wrong = random_below(&state, 100) < wrong_percent;

		learn_observe(&learn[i % 2], &flow, truth(&flow) + wrong, -1);
	}
}

/* A table that follows no rule. */
static void nic_skewed(const uint8_t *key, unsigned size, unsigned cpus)
{
	arrival_fill(&nic, key, 40, size, cpus, cpus);
	for (unsigned i = 0; i < size; i++)
		nic.table.queue[i] = (uint16_t)random_below(&state, cpus);
}

static void expect_right(unsigned least_known)
{
	unsigned known = 0, wrong = 0;

	for (unsigned i = 0; i < 400; i++) {
		struct flow flow = flow_any(i);
		int cpu = arrival_of(&table.arrival, &flow).cpu;

		known += cpu >= 0;
		wrong += cpu >= 0 && cpu != truth(&flow);
	}
	cr_assert_eq(wrong, 0);
	cr_assert_geq(known, least_known, "%u of 400 known", known);
}

Test(learn_table, known_key_any_table)
{
	static const unsigned sizes[] = {128, 512, 64, 2048}, known[] = {390, 300, 390, 100};

	for (unsigned round = 0; round < 60; round++) {
		uint8_t key[40];

		random_bytes(&state, key, 40);
		nic_skewed(key, sizes[round % 4], 3 + round % 3);
		nic.hash.transform = round / 4 % 3;
		watch(1024, 0);
		cr_assert(learn_table_init(&table, &nic.hash, &learn[0], &learn[1], &evidence));
		cr_assert_eq(table.arrival.table.size, nic.table.size);
		expect_right(known[round % 4]);
		for (unsigned i = 0; i < 20000; i++) {
			struct flow flow = flow_any(i);

			learn_table_observe(&table, &flow, truth(&flow));
		}
		cr_assert_eq(table.wrong, 0);
		cr_assert(learn_table_holds(&table));
		expect_right(399);
	}
}

/* The published keys by name, found among others' traffic; a random key is none of them. */
Test(learn_table, guesses_published_keys)
{
	static const uint8_t mlx5[] = {0x2c, 0xc6, 0x81, 0xd1, 0x5b, 0xdb, 0xf4, 0xf7, 0xfc, 0xa2,
				       0x83, 0x19, 0xdb, 0x1a, 0x3e, 0x94, 0x6b, 0x9e, 0x38, 0xd9,
				       0x2c, 0x9c, 0x03, 0xd1, 0xad, 0x99, 0x44, 0xa7, 0xd9, 0x56,
				       0x3d, 0x59, 0x06, 0x3c, 0x25, 0xf3, 0xfc, 0x1f, 0xdc, 0x2a};
	const char *name;
	uint8_t key[40];

	for (unsigned round = 0; round < 20; round++) {
		nic_skewed(reference_microsoft_key, 128, 3);
		watch(400, 0);
		name = learn_table_guess(&table, &learn[0], NULL, &evidence);
		cr_assert(name && strcmp(name, "Microsoft") == 0);
		nic_skewed(mlx5, 128, 3);
		nic.hash.transform = TRANSFORM_SYMMETRIC_XOR;
		watch(600, 1);
		name = learn_table_guess(&table, &learn[0], &learn[1], &evidence);
		cr_assert(name && strcmp(name, "mlx5") == 0);
		cr_assert_eq(table.arrival.hash.transform, TRANSFORM_SYMMETRIC_XOR);
		random_bytes(&state, key, 40);
		nic_skewed(key, 128, 3);
		watch(1024, 0);
		cr_assert_null(learn_table_guess(&table, &learn[0], &learn[1], &evidence));
		for (unsigned i = 0; i < 128; i++) /* hardly anything arrives elsewhere */
			nic.table.queue[i] = i == 7;
		watch(1024, 0);
		cr_assert_null(learn_table_guess(&table, &learn[0], &learn[1], &evidence));
	}
}

Test(learn_table, one_percent_of_noise)
{
	unsigned wrong = 0;

	for (unsigned round = 0; round < 20; round++) {
		nic_skewed(reference_microsoft_key, 128, 5);
		watch(1024, 1);
		cr_assert(learn_table_init(&table, &nic.hash, &learn[0], &learn[1], &evidence));
		for (unsigned i = 0; i < 5000; i++) {
			struct flow flow = flow_any(i);
			int cpu = arrival_of(&table.arrival, &flow).cpu, really = truth(&flow);

			wrong += cpu >= 0 && cpu != really;
			learn_table_observe(&table, &flow,
					    random_below(&state, 100) ? really : (really + 1) % 5);
		}
		cr_assert(learn_table_holds(&table));
	}
	cr_expect_lt(wrong, 20 * 5000 / 200, "%u", wrong);
}

Test(learn_table, notices_another_key_and_follows_another_table)
{
	nic_skewed(reference_microsoft_key, 128, 4);
	watch(1024, 0);
	cr_assert(learn_table_init(&table, &nic.hash, &learn[0], &learn[1], &evidence));
	nic.table.queue[5] = (nic.table.queue[5] + 1) % 4; /* one entry changed: mended */
	for (unsigned i = 0; i < 3000; i++) {
		struct flow flow = flow_any(i);

		learn_table_observe(&table, &flow, truth(&flow));
		cr_assert(learn_table_holds(&table));
	}
	expect_right(399);
	random_bytes(&state, nic.hash.key, 40);
	unsigned i = 0;
	for (; learn_table_holds(&table) && i < 100; i++) {
		struct flow flow = flow_any(i);

		learn_table_observe(&table, &flow, truth(&flow));
	}
	cr_expect_lt(i, 40);
}

Test(learn_table, too_little_is_no_evidence)
{
	nic_skewed(reference_microsoft_key, 128, 3);
	watch(40, 0);
	cr_expect_not(learn_table_init(&table, &nic.hash, &learn[0], &learn[1], &evidence));
	cr_expect_not(learn_table_init(&table, &nic.hash, NULL, NULL, &evidence));
}
