/* What may be built on an interface: verdicts, policies on top, interfaces that stand on others. */
#include "shim/decide/learner.h"
#include "shim/nic/nic_driver.h"
#include "shim/nic/nic_read.h"
#include "shim/policy/policy.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct policy policy;
static struct nic_set set;

static const uint8_t key[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2};

/* A NIC of four queues on CPUs 0-3, about which everything is known. */
static struct nic_view *physical(const char *name)
{
	struct nic_view *view = &set.view[set.count];
	struct arrival *arrival = &view->arrival;

	memset(view, 0, sizeof(*view));
	memset(arrival->queue_cpu, -1, sizeof(arrival->queue_cpu));
	strcpy(view->name, name);
	view->ifindex = ++set.count;
	view->kind = NIC_PHYSICAL;
	view->up = true;
	view->rx_hash = true;
	for (int value = 0; value < NIC_VALUES; value++)
		nic_known(view, (enum nic_value)value, ORIGIN_IOCTL);
	arrival->hash.function = HASH_TOEPLITZ;
	memcpy(arrival->hash.key, key, sizeof(key));
	arrival->hash.key_len = sizeof(key);
	arrival->queue_count = 4;
	arrival->table.size = 128;
	for (int i = 0; i < 128; i++)
		arrival->table.queue[i] = (uint16_t)(i % 4);
	for (int i = 0; i < 4; i++)
		arrival->queue_cpu[i] = (int16_t)i;
	return view;
}

static struct nic_view *upper(const char *name, enum nic_kind kind, uint32_t below)
{
	struct nic_view *view = &set.view[set.count];

	memset(view, 0, sizeof(*view));
	memset(view->arrival.queue_cpu, -1, sizeof(view->arrival.queue_cpu));
	strcpy(view->name, name);
	view->ifindex = ++set.count;
	view->kind = kind;
	view->up = true;
	view->lower[view->lower_count++] = below;
	nic_judge(view);
	return view;
}

static void start(void)
{
	memset(&set, 0, sizeof(set));
	policy_defaults(&policy);
}

TestSuite(nic_judge, .init = start);

static void load(const char *text)
{
	struct policy_source source = {.file = "p.ini", .text = text, .size = strlen(text)};

	cr_assert_eq(policy_load(&policy, &source, NULL, NULL), 0, "%s", text);
}

static void expect_no(struct nic_view *view, bool spreads, enum nic_reason reason)
{
	nic_judge(view);
	cr_expect_eq(view->spreads, spreads, "spreads: %s", nic_reason_name(view->spreads_not));
	cr_expect_eq(view->predictable_not[0], reason, "%s instead of %s",
		     nic_reason_name(view->predictable_not[0]), nic_reason_name(reason));
	cr_expect_eq(view->predictable[0], reason == REASON_NONE);
}

Test(nic_judge, a_good_nic)
{
	struct nic_view *view = physical("eth0");

	expect_no(view, true, REASON_NONE);
	cr_expect(view->predictable[1]);
	cr_expect(view->multi_queue);
	cr_expect_eq(CPU_COUNT(&view->cpus), 4);
	cr_expect_gt(view->arrival.toeplitz.words, 0, "the arrival is not sealed");
}

Test(nic_judge, one_queue_or_one_cpu)
{
	struct nic_view *view = physical("eth0");

	for (int i = 0; i < 4; i++)
		view->arrival.queue_cpu[i] = 2;
	expect_no(view, false, REASON_ONE_CPU);
	cr_expect(nic_may_spread(&set), "once its interrupts are");
	memset(view->arrival.table.queue, 0, sizeof(view->arrival.table.queue));
	expect_no(view, false, REASON_SINGLE_QUEUE);
	cr_expect_not(view->multi_queue);
}

Test(nic_judge, hash_that_cannot_be_inverted)
{
	struct nic_view *view = physical("eth0");

	view->arrival.hash.function = HASH_XOR;
	expect_no(view, true, REASON_NOT_LINEAR);
	view->arrival.hash.function = HASH_CRC32;
	expect_no(view, true, REASON_NOT_LINEAR);
	view->arrival.hash.function = HASH_UNKNOWN;
	expect_no(view, true, REASON_NO_FUNCTION);
	view->arrival.hash.function = HASH_TOEPLITZ;
	view->arrival.hash.key_len = 0;
	expect_no(view, true, REASON_NO_KEY);
}

/* Per family: 16 bytes of key are enough for IPv4 alone, and fields are configured apart. */
Test(nic_judge, families_apart)
{
	struct nic_view *view = physical("eth0");

	view->arrival.hash.key_len = 16;
	expect_no(view, true, REASON_NONE);
	cr_expect_eq(view->predictable_not[1], REASON_NO_KEY);
	view->arrival.hash.key_len = 40;
	view->arrival.hash.fields[0] = FIELDS_ADDRESSES;
	expect_no(view, true, REASON_NO_PORTS);
	cr_expect(view->predictable[1]);
	view->arrival.hash.fields[0] = FIELDS_OTHER;
	expect_no(view, true, REASON_FIELDS);
}

Test(nic_judge, what_overrules_the_table)
{
	struct nic_view *view = physical("eth0");

	view->flow_director = true;
	expect_no(view, true, REASON_FOLLOWS_FLOW);
	view->flow_director = false;
	view->rfs = true;
	expect_no(view, true, REASON_FOLLOWS_FLOW);
	view->rfs = false;
	view->rules = 1;
	expect_no(view, true, REASON_RULES);
	view->rules = 0;
	expect_no(view, true, REASON_NONE);
}

/* virtio after ethtool -L to fewer queues: the table still names those that are gone. */
Test(nic_judge, table_beyond_the_queues)
{
	struct nic_view *view = physical("eth0");

	view->arrival.queue_count = 2;
	expect_no(view, true, REASON_RSS_OFF);
	cr_expect_eq(CPU_COUNT(&view->cpus), 2);
	view->arrival.queue_count = 1;
	expect_no(view, false, REASON_SINGLE_QUEUE);
}

Test(nic_judge, queues_of_unknown_cpu)
{
	struct nic_view *view = physical("eth0");

	memset(view->arrival.queue_cpu, -1, sizeof(view->arrival.queue_cpu));
	expect_no(view, true, REASON_QUEUE_CPU);
	view->arrival.queue_cpu[2] = 5;
	expect_no(view, true, REASON_NONE);
}

Test(nic_judge, rps)
{
	struct nic_view *view = physical("eth0");
	struct rps_map *rps = &view->arrival.rps;

	rps->count = 2;
	rps->cpu[1] = 1;
	expect_no(view, true, REASON_NONE);
	cr_expect_not(rps->unknown);
	view->rx_hash = false;
	expect_no(view, true, REASON_RPS_HASH);
	cr_expect(rps->unknown);
	view->rx_hash = true;
	view->rps_differs = true;
	expect_no(view, true, REASON_RPS_DIFFERS);
	cr_expect(rps->unknown);
	view->rps_differs = false;
	/* A single queue with RPS works like several, without any table. */
	view->arrival.table.size = 0;
	view->arrival.queue_count = 1;
	expect_no(view, true, REASON_NONE);
	view->rx_hash = false;
	expect_no(view, true, REASON_RPS_HASH);
}

Test(nic_judge, links_within_the_host)
{
	struct nic_view *view = physical("veth0");

	view->kind = NIC_VETH;
	expect_no(view, false, REASON_LOCAL_LINK);
	view->kind = NIC_TUN;
	expect_no(view, false, REASON_LOCAL_LINK);
	view->kind = NIC_LOOPBACK;
	expect_no(view, false, REASON_LOOPBACK);
	view->kind = NIC_TUNNEL;
	expect_no(view, false, REASON_TUNNEL);
	/* RPS spreads what a veth hands in, but by a hash of the kernel's own. */
	view->kind = NIC_VETH;
	view->arrival.rps.count = 2;
	expect_no(view, true, REASON_RPS_HASH);
}

Test(nic_judge, section_for_a_veth)
{
	struct nic_view *view;

	load("[nic rss0]\nhash_key = 6d:5a:56:da:25:5b:0e:c2:41:67:25:3d:43:a3:8f:b0:d0:ca:2b:cb\n"
	     "   ae:7b:30:b4:77:cb:2d:a3:80:30:f2:0c:6a:42:b7:3b:be:ac:01:fa\n"
	     "indirection = equal 3\nqueue_cpus = 4 5 4\n");
	view = upper("rss0", NIC_VETH, 0);
	cr_expect_not(view->spreads);
	cr_assert(nic_apply_policy(view, &policy));
	expect_no(view, true, REASON_NONE);
	cr_expect(view->predictable[1]);
	cr_expect_eq(view->arrival.table.size, 128);
	cr_expect_eq(view->arrival.table.queue[5], 2);
	cr_expect_eq(view->arrival.queue_count, 3);
	cr_expect_eq(CPU_COUNT(&view->cpus), 2);
	cr_expect(CPU_ISSET(5, &view->cpus));
	cr_expect_eq(view->fact[VALUE_KEY].origin, ORIGIN_POLICY);
	cr_expect_not(nic_apply_policy(physical("eth0"), &policy));
}

/* A section overrides single values and leaves the others to the kernel. */
Test(nic_judge, section_for_one_value)
{
	struct nic_view *view = physical("eth0");

	load("[nic eth0]\nqueue_cpus = 6 7 6 7\n");
	view->arrival.rps.count = 2; /* the section tells where packets end up, after RPS */
	nic_apply_policy(view, &policy);
	expect_no(view, true, REASON_NONE);
	cr_expect_eq(view->arrival.queue_cpu[1], 7);
	cr_expect_eq(view->fact[VALUE_QUEUE_CPU].origin, ORIGIN_POLICY);
	cr_expect_eq(view->fact[VALUE_KEY].origin, ORIGIN_IOCTL);
	cr_expect_eq(CPU_COUNT(&view->cpus), 2);
}

Test(nic_judge, section_words)
{
	struct nic_view *view = physical("eth0");

	load("[nic eth0]\nhash = none\n");
	nic_apply_policy(view, &policy);
	expect_no(view, true, REASON_POLICY);
	view = physical("eth1");
	load("[nic eth1]\nhash = learn\n");
	nic_apply_policy(view, &policy);
	cr_expect(view->learn);
	expect_no(view, true, REASON_LEARN);
	view = physical("eth2");
	load("[nic eth2]\ntransform = symmetric-xor\nfields = addresses\n");
	nic_apply_policy(view, &policy);
	cr_expect_eq(view->arrival.hash.transform, TRANSFORM_SYMMETRIC_XOR);
	expect_no(view, true, REASON_NO_PORTS);
}

/* "equal N" fills as many entries as the NIC has. */
Test(nic_judge, section_table)
{
	struct nic_view *view = physical("eth0");

	load("[nic eth0]\nindirection = 1 1 0 2\n");
	nic_apply_policy(view, &policy);
	cr_expect_eq(view->arrival.table.size, 4);
	cr_expect_eq(view->arrival.table.queue[3], 2);
	view = physical("eth1");
	view->arrival.table.size = 512;
	load("[nic eth1]\nindirection = equal 3\n");
	nic_apply_policy(view, &policy);
	cr_expect_eq(view->arrival.table.size, 512);
	cr_expect_eq(view->arrival.table.queue[511], 511 % 3);
}

Test(nic_judge, vlan_takes_over)
{
	struct nic_view *view = physical("eth0");
	struct nic_view *vlan;

	nic_judge(view);
	vlan = upper("eth0.7", NIC_VLAN, view->ifindex);
	cr_expect_eq(vlan->spreads_not, REASON_NO_LOWER);
	cr_assert(nic_take_lower(vlan, &set));
	cr_expect(vlan->spreads);
	cr_expect(vlan->predictable[0]);
	cr_expect_eq(vlan->fact[VALUE_KEY].origin, ORIGIN_LOWER);
	cr_expect_str_eq(vlan->name, "eth0.7");
	cr_expect_eq(vlan->kind, NIC_VLAN);
	/* A VLAN whose NIC is in another namespace. */
	vlan = upper("vlan9", NIC_VLAN, 99);
	cr_expect_not(nic_take_lower(vlan, &set));
	cr_expect_not(vlan->spreads);
}

Test(nic_judge, bond_of_equals_and_of_unlike)
{
	struct nic_view *a = physical("eth0");
	struct nic_view *b = physical("eth1");
	struct nic_view *bond;

	nic_judge(a);
	nic_judge(b);
	bond = upper("bond0", NIC_BOND, a->ifindex);
	bond->lower[bond->lower_count++] = b->ifindex;
	cr_assert(nic_take_lower(bond, &set));
	cr_expect(bond->spreads);
	cr_expect(bond->predictable[0], "two alike are as good as one");

	b->arrival.queue_cpu[0] = 7;
	nic_judge(b);
	cr_assert(nic_take_lower(bond, &set));
	cr_expect(bond->spreads);
	cr_expect_eq(bond->predictable_not[0], REASON_LOWERS_DIFFER);
	cr_expect(CPU_ISSET(7, &bond->cpus));
	cr_expect(CPU_ISSET(0, &bond->cpus));

	bond->active_backup = true;
	cr_assert(nic_take_lower(bond, &set));
	cr_expect(bond->predictable[0], "only the first member is in use");
	bond->active_backup = false;
	b->up = false;
	cr_assert(nic_take_lower(bond, &set));
	cr_expect(bond->predictable[0], "a member that is down does not count");
}

/* Azure: packets come in by the virtual function, under the name of the synthetic device above it;
 * and by that itself while the function is taken away. */
Test(nic_judge, hyper_v_with_virtual_function)
{
	struct nic_view *function = physical("enP1s1");
	struct nic_view *synthetic = physical("eth0");

	function->arrival.queue_cpu[3] = 6;
	synthetic->arrival.hash.key_len = 0;
	nic_judge(function);
	nic_judge(synthetic);
	synthetic->lower[synthetic->lower_count++] = function->ifindex;
	cr_assert(nic_stands_on_others(synthetic));
	cr_assert(nic_take_lower(synthetic, &set));
	cr_expect(synthetic->predictable[0]);
	cr_expect_eq(synthetic->arrival.queue_cpu[3], 6);
	cr_expect_eq(synthetic->kind, NIC_PHYSICAL);
	function->up = false;
	cr_expect_not(nic_take_lower(synthetic, &set));
}

/* Containers on the bridge share its name with the outside, replies from outside still hash. */
Test(nic_judge, bridge_with_containers)
{
	struct nic_view *port = physical("eth0");
	struct nic_view *veth = physical("veth1");
	struct nic_view *bridge;

	veth->kind = NIC_VETH;
	nic_judge(port);
	nic_judge(veth);
	bridge = upper("br0", NIC_BRIDGE, veth->ifindex);
	bridge->lower[bridge->lower_count++] = port->ifindex;
	cr_assert(nic_take_lower(bridge, &set));
	cr_expect_not(bridge->spreads);
	cr_expect_eq(bridge->spreads_not, REASON_LOCAL_LINK);
	cr_expect(bridge->predictable[0]);
	bridge->lower[0] = 99;
	cr_assert(nic_take_lower(bridge, &set));
	cr_expect(bridge->spreads);
}

Test(nic_judge, summary_for_listeners)
{
	uint32_t ifindex[4];
	cpu_set_t cpus;
	struct nic_view *view = physical("eth0");

	nic_judge(view);
	view = physical("eth1");
	view->arrival.queue_cpu[0] = 9;
	nic_judge(view);
	view = physical("eth2");
	view->kind = NIC_VETH;
	nic_judge(view);
	cr_expect_eq(nic_spreading(&set, ifindex, 4, &cpus), 2);
	cr_expect_eq(ifindex[0], 1);
	cr_expect_eq(ifindex[1], 2);
	cr_expect_eq(CPU_COUNT(&cpus), 5);
	cr_expect_eq(nic_spreading(&set, ifindex, 1, NULL), 1);
	cr_expect_eq(nic_spreading(NULL, ifindex, 4, &cpus), 0);
	cr_expect_str_eq(nic_by_index(&set, 2)->name, "eth1");
	cr_expect_null(nic_by_name(&set, "eth9"));
}

Test(nic_judge, every_word_exists)
{
	for (int i = 0; i < NIC_REASONS; i++)
		cr_expect(nic_reason_name((enum nic_reason)i) &&
			  nic_reason_text((enum nic_reason)i));
	for (int i = 0; i < NIC_KINDS; i++)
		cr_expect_str_neq(nic_kind_name((enum nic_kind)i), "?");
	for (int i = 0; i < NIC_VALUES; i++)
		cr_expect_str_neq(nic_value_name((enum nic_value)i), "?");
	for (int i = 0; i < NIC_ORIGINS; i++)
		cr_expect_str_neq(nic_origin_name((enum nic_origin)i), "?");
	cr_expect_str_eq(nic_kind_name(NIC_KINDS), "?");
}

Test(nic_judge, drivers)
{
	cr_expect(nic_driver("ixgbe")->atr_without_ntuple);
	cr_expect(nic_driver("ena")->doubtful);
	cr_expect_eq(nic_driver("mlx5_core")->transform, TRANSFORM_SYMMETRIC_OR_XOR);
	cr_expect_not(nic_driver("igb")->doubtful);
	cr_expect(nic_kernel_reports_or_xor("6.15.0-rc1"));
	cr_expect(nic_kernel_reports_or_xor("6.18.44-fc-v657"));
	cr_expect(nic_kernel_reports_or_xor("7.0"));
	cr_expect_not(nic_kernel_reports_or_xor("6.1.0-44-cloud-amd64"));
	cr_expect_not(nic_kernel_reports_or_xor("5.19"));
	cr_expect_not(nic_kernel_reports_or_xor(""));
}

/* --- what may be learned, and what is made of it --- */

Test(nic_judge, what_may_be_learned)
{
	static const enum nic_kind kinds[] = {NIC_VETH, NIC_MACVLAN, NIC_TUN, NIC_VIRTUAL};
	struct nic_view *view;

	start();
	view = physical("eth0");
	nic_judge(view);
	cr_expect_not(view->learnable, "all is told");
	cr_expect(view->may_learn, "should it prove wrong");
	view->arrival.hash.key_len = 0;
	nic_judge(view);
	cr_expect(view->learnable);
	view->rfs = true;
	nic_judge(view);
	cr_expect_not(view->learnable, "packets follow the flow");
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		cr_expect(upper("x", kinds[i], 99)->learnable, "%d", kinds[i]);
	cr_expect_not(upper("lo", NIC_LOOPBACK, 99)->learnable);
	cr_expect(nic_any_learnable(&set));
}

Test(nic_judge, the_policy_says_what_may_be_learned)
{
	static const struct {
		const char *hash;
		bool may, is;
	} cases[] = {{"auto", true, true},
		     {"learn", true, true},
		     {"toeplitz", false, false},
		     {"none", false, false}};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[64];

		start();
		struct nic_view *view = upper("v0", NIC_VETH, 99);

		snprintf(text, sizeof(text), "[nic v0]\nhash = %s\n", cases[i].hash);
		load(text);
		nic_apply_policy(view, &policy);
		nic_judge(view);
		cr_expect_eq(view->may_learn, cases[i].may, "%s", cases[i].hash);
		cr_expect_eq(view->learnable, cases[i].is, "%s", cases[i].hash);
	}
}

Test(nic_judge, what_was_learned)
{
	static struct learned learned;
	struct nic_view *view;

	start();
	view = upper("v0", NIC_VETH, 99);
	nic_apply_learned(view, &learned);
	cr_expect_not(view->learned);
	cr_expect_not(view->spreads);
	learned.spread[FLOW_IPV6] = true;
	CPU_SET(3, &learned.receiving);
	CPU_SET(5, &learned.receiving);
	nic_apply_learned(view, &learned);
	cr_expect(view->learned);
	cr_expect(view->spreads, "where connections are only accepted");
	cr_expect_not(view->predictable[FLOW_IPV6]);
	cr_expect_eq(view->predictable_not[FLOW_IPV6], REASON_LEARN);
	cr_expect_neq(view->fact[VALUE_TABLE].origin, ORIGIN_WATCHED);
	learned.known[FLOW_IPV6] = true;
	learned.arrival.hash.function = HASH_LEARNED;
	learned.arrival.queue_count = 2;
	learned.arrival.queue_cpu[0] = 5;
	learned.arrival.queue_cpu[1] = 3;
	nic_apply_learned(view, &learned);
	cr_expect(view->learned);
	cr_expect(view->spreads);
	cr_expect_eq(CPU_COUNT(&view->cpus), 2);
	cr_expect(CPU_ISSET(3, &view->cpus));
	cr_expect(view->predictable[FLOW_IPV6]);
	cr_expect_not(view->predictable[FLOW_IPV4]);
	cr_expect_eq(view->predictable_not[FLOW_IPV4], REASON_LEARN);
	cr_expect_eq(view->fact[VALUE_TABLE].origin, ORIGIN_WATCHED);
}

/* What is told of one family is not given up for what was learned of the other. */
Test(nic_judge, what_is_told_of_a_family_stays)
{
	static struct learned learned;
	struct nic_view *view;

	start();
	view = physical("eth0");
	view->arrival.hash.fields[FLOW_IPV6] = FIELDS_OTHER;
	nic_judge(view);
	cr_assert(view->predictable[FLOW_IPV4]);
	cr_expect_not(view->untold[FLOW_IPV4]);
	cr_expect(view->untold[FLOW_IPV6]);
	cr_expect(view->learnable);
	learned.spread[FLOW_IPV6] = learned.known[FLOW_IPV6] = true;
	learned.arrival.hash.function = HASH_LEARNED;
	CPU_SET(0, &learned.receiving);
	CPU_SET(1, &learned.receiving);
	nic_apply_learned(view, &learned);
	cr_expect_not(view->learned);
	cr_expect(view->predictable[FLOW_IPV4]);
	cr_expect_eq(view->arrival.hash.function, HASH_TOEPLITZ);
	learned.spread[FLOW_IPV4] = learned.known[FLOW_IPV4] = true;
	nic_apply_learned(view, &learned);
	cr_expect(view->learned);
	cr_expect(view->predictable[FLOW_IPV4]);
	cr_expect(view->predictable[FLOW_IPV6]);
	cr_expect_eq(view->arrival.hash.function, HASH_LEARNED);

	/* What proved wrong is told of neither. */
	nic_judge(physical("eth1"));
	view = &set.view[1];
	cr_assert_not(view->learnable);
	nic_disprove(view);
	cr_expect(view->untold[FLOW_IPV4] && view->untold[FLOW_IPV6]);
	learned.known[FLOW_IPV6] = false;
	nic_apply_learned(view, &learned);
	cr_expect(view->learned);
	cr_expect_not(view->predictable[FLOW_IPV6]);
}
