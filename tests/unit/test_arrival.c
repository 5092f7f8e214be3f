/* Hash -> bucket -> queue -> CPU, and -1 for whatever is not known. */
#include "tests/unit/reference.h"
#include <criterion/criterion.h>

static struct arrival nic;
static const struct flow flow = {.family = AF_INET,
				 .remote = {66, 9, 149, 187},
				 .local = {161, 142, 100, 80},
				 .remote_port = 2794,
				 .local_port = 1766};
#define FLOW_HASH 0x51ccc178u

static void fill(unsigned size, unsigned queues, unsigned cpus)
{
	arrival_fill(&nic, reference_microsoft_key, 40, size, queues, cpus);
}

Test(arrival, low_bits_of_a_power_of_two)
{
	fill(128, 4, 2);
	struct arrival_place p = arrival_of(&nic, &flow);

	cr_expect(p.hashed);
	cr_expect_eq(p.hash, FLOW_HASH);
	cr_expect_eq(p.bucket, (int)(FLOW_HASH & 127));
	cr_expect_eq(p.queue, (int)(FLOW_HASH & 3));
	cr_expect_eq(p.cpu, (int)(FLOW_HASH & 1));
}

Test(arrival, remainder_otherwise)
{
	fill(96, 5, 5);
	struct arrival_place p = arrival_of(&nic, &flow);

	cr_expect_eq(p.bucket, (int)(FLOW_HASH % 96));
	cr_expect_eq(p.queue, (int)(FLOW_HASH % 96 % 5));
}

Test(arrival, rps_has_the_last_word)
{
	fill(128, 4, 4);
	nic.rps.count = 3;
	nic.rps.cpu[0] = 7;
	nic.rps.cpu[1] = 8;
	nic.rps.cpu[2] = 9;
	struct arrival_place p = arrival_of(&nic, &flow);

	cr_expect_eq(p.queue, (int)(FLOW_HASH & 3));
	cr_expect_eq(p.cpu, 7); /* 0x51ccc178 is in the first third */
	cr_expect_eq(arrival_of_hash(&nic, 0x55555556).cpu, 8);
	cr_expect_eq(arrival_of_hash(&nic, UINT32_MAX).cpu, 9);
	nic.rps.unknown = true;
	cr_expect_eq(arrival_of(&nic, &flow).cpu, -1);
}

/* The kernel takes the NIC's hash for the flow's where the ports are in it; each family has its own
 * fields. */
Test(arrival, rps_by_a_hash_of_addresses)
{
	fill(128, 4, 4);
	nic.rps.count = 2;
	nic.rps.cpu[1] = 1;
	nic.hash.fields[FLOW_IPV6] = FIELDS_ADDRESSES;
	cr_expect_geq(arrival_of(&nic, &flow).cpu, 0);
	nic.hash.fields[FLOW_IPV4] = FIELDS_ADDRESSES;
	nic.hash.fields[FLOW_IPV6] = FIELDS_4_TUPLE;
	cr_expect_eq(arrival_of(&nic, &flow).cpu, -1);
}

Test(arrival, what_is_not_known_is_minus_one)
{
	struct arrival_place p;

	fill(128, 4, 4);
	nic.queue_cpu[FLOW_HASH & 3] = -1;
	p = arrival_of(&nic, &flow);
	cr_expect_eq(p.queue, (int)(FLOW_HASH & 3));
	cr_expect_eq(p.cpu, -1);

	fill(128, 4, 4);
	nic.queue_cpu[FLOW_HASH & 3] = RSS_CPUS_MAX;
	cr_expect_eq(arrival_of(&nic, &flow).cpu, -1);

	fill(128, 4, 4);
	nic.table.queue[FLOW_HASH & 127] = 4; /* a queue the NIC does not have */
	cr_expect_eq(arrival_of(&nic, &flow).cpu, -1);

	fill(128, 4, 4);
	nic.table.size = 0;
	p = arrival_of(&nic, &flow);
	cr_expect(p.hashed);
	cr_expect(p.bucket == -1 && p.queue == -1 && p.cpu == -1);

	fill(128, 4, 4);
	nic.table.size = RSS_TABLE_MAX + 1;
	cr_expect_eq(arrival_of(&nic, &flow).bucket, -1);

	fill(128, 4, 4);
	nic.hash.key_len = 15;
	arrival_seal(&nic);
	p = arrival_of(&nic, &flow);
	cr_expect_not(p.hashed);
	cr_expect(p.bucket == -1 && p.queue == -1 && p.cpu == -1);
}

Test(arrival, one_queue_needs_no_hash)
{
	fill(128, 1, 1);
	nic.queue_cpu[0] = 3;
	nic.hash.function = HASH_UNKNOWN;
	arrival_seal(&nic);
	cr_expect_eq(arrival_of(&nic, &flow).cpu, 3);
	nic.rps.count = 2;
	cr_expect_eq(arrival_of(&nic, &flow).cpu, -1);
}
