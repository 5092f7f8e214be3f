/* RSSSHIM_* variables over a file. */
#include "policy_fixture.h"
#include "shim/policy/option.h"
#include <ctype.h>

Test(policy_environment, overrides_the_file)
{
	struct loaded *l =
		load_variable("[connect]\nsteer = yes\ntries = 3\n", "RSSSHIM_CONNECT_STEER=no");

	cr_expect(eq(u32, l->count, 0), "%s", l->line[0]);
	cr_expect(not(l->policy.connect_steer));
	cr_expect(eq(int, l->policy.origin[OPTION_connect_steer].kind, FROM_ENVIRONMENT));
	cr_expect(eq(u32, l->policy.connect_tries, 3));
	cr_expect(eq(int, l->policy.origin[OPTION_connect_tries].kind, FROM_FILE));
}

static void expect_variable_taken(const char *prefix, const struct policy_option *option)
{
	char variable[256];

	size_t len = (size_t)sprintf(variable, "RSSSHIM_%s_%s", prefix, option->key);
	for (size_t i = 0; i < len; i++)
		variable[i] = (char)toupper(variable[i]);
	sprintf(variable + len, "=%s", option->text);
	struct loaded *l = load_variable(NULL, variable);
	cr_expect(eq(u32, l->count, 0), "%s: %s", variable, l->line[0]);
	unsigned set = 0;
	for (int id = 0; id < OPTION_COUNT; id++)
		set += l->policy.origin[id].kind == FROM_ENVIRONMENT;
	for (int id = 0; id < NIC_OPTION_COUNT; id++)
		set += l->policy.nic[0].origin[id].kind == FROM_ENVIRONMENT;
	cr_expect(eq(u32, set, 1), "%s", variable);
}

Test(policy_environment, every_key_has_its_variable)
{
	for (int id = 0; id < OPTION_COUNT; id++)
		expect_variable_taken(policy_options[id].section, &policy_options[id]);
	for (int id = 0; id < NIC_OPTION_COUNT; id++)
		expect_variable_taken("nic_eth0", &policy_nic_options[id]);
}

Test(policy_environment, a_bad_value_leaves_the_files)
{
	struct loaded *l = load_variable("[connect]\ntries = 3\n", "RSSSHIM_CONNECT_TRIES= many ");

	cr_assert(eq(u32, l->errors, 1));
	cr_expect(eq(str, (char *)l->line[0],
		     "RSSSHIM_CONNECT_TRIES=many: not a number (a number from 1 to 1024)"));
	cr_expect(eq(u32, l->policy.connect_tries, 3));
	cr_expect(eq(int, l->policy.origin[OPTION_connect_tries].kind, FROM_FILE));
}

Test(policy_environment, unknown_variables)
{
	static const char *const names[] = {"RSSSHIM_CONECT_STEER=no",
					    "RSSSHIM_CONNECT=no",
					    "RSSSHIM_CONNECT_STEER_=no",
					    "RSSSHIM_NIC_HASH=none",
					    "RSSSHIM_NIC__HASH=none",
					    "RSSSHIM_connect_steer=no",
					    "RSSSHIM_=no"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct loaded *l = load_variable(NULL, names[i]);
		cr_expect(eq(u32, l->errors, 1), "%s", names[i]);
		cr_expect(eq(int, strncmp(l->line[0], names[i], strcspn(names[i], "=")), 0), "%s",
			  l->line[0]);
		cr_expect(strstr(l->line[0], ": unknown variable (") != NULL, "%s", l->line[0]);
	}
}

Test(policy_environment, what_is_not_a_key)
{
	cr_expect(eq(u32, load_variable(NULL, "RSSSHIM_CONF=/x")->count, 0));
	cr_expect(eq(u32, load_variable(NULL, "RSSSHIM_INHERIT=7")->count, 0));
	cr_expect(eq(u32, load_variable(NULL, "RSSSHIMMER=7")->count, 0));
	cr_expect(eq(u32, load_variable(NULL, "RSSSHIM_NO_EQUALS_SIGN")->count, 0));
}

Test(policy_environment, nic_of_the_file)
{
	struct loaded *l = load_variable("[nic eth0.1]\nqueue_cpus = 5\nhash = none\n[nic eth0]\n",
					 "RSSSHIM_NIC_ETH0_1_QUEUE_CPUS=0 2");

	cr_expect(eq(u32, l->count, 0), "%s", l->line[0]);
	cr_expect(eq(u32, l->policy.nic_count, 2));
	const struct policy_nic *nic = policy_nic(&l->policy, "eth0.1");
	cr_assert(eq(u16, nic->queue_cpus.count, 2));
	cr_expect(eq(u16, policy_values(&l->policy, &nic->queue_cpus)[1], 2));
	cr_expect(eq(int, nic->hash, NIC_HASH_NONE));
	cr_expect(eq(int, nic->origin[NIC_OPTION_queue_cpus].kind, FROM_ENVIRONMENT));
	cr_expect(eq(int, nic->origin[NIC_OPTION_hash].kind, FROM_FILE));
	cr_expect(eq(u16, policy_nic(&l->policy, "eth0")->queue_cpus.count, 0));
}

Test(policy_environment, nic_of_no_file)
{
	char *environment[] = {"RSSSHIM_NIC_ENP3S0_HASH_KEY=00112233445566778899aabbccddeeff",
			       "RSSSHIM_NIC_ENP3S0_HASH=toeplitz", "RSSSHIM_NIC_BR_LAN_HASH=none",
			       NULL};
	struct loaded *l = load_all(NULL, 0, environment);

	cr_expect(eq(u32, l->count, 0), "%s", l->line[0]);
	cr_assert(eq(u32, l->policy.nic_count, 2));
	const struct policy_nic *nic = policy_nic(&l->policy, "enp3s0");
	cr_assert(nic != NULL);
	cr_expect(eq(u8, nic->hash_key.len, 16));
	cr_expect(eq(int, nic->hash, NIC_HASH_TOEPLITZ));
	cr_expect(eq(int, policy_nic(&l->policy, "br-lan")->hash, NIC_HASH_NONE));
	cr_expect(eq(ptr, (void *)policy_nic(&l->policy, "enp3s"), NULL));
	cr_expect(eq(ptr, (void *)policy_nic(&l->policy, "enp3s0a"), NULL));
	cr_expect(eq(ptr, (void *)policy_nic(&l->policy, "a-very-long-name-of-a-nic"), NULL));
}

Test(policy_environment, nic_in_lower_case)
{
	struct loaded *l = load_variable("[nic eth0]\n", "RSSSHIM_NIC_eth0_HASH=none");

	cr_assert(eq(u32, l->errors, 1));
	cr_expect(eq(str, (char *)l->line[0],
		     "RSSSHIM_NIC_eth0_HASH: the NIC's name is not in upper case, with _ for other "
		     "characters (RSSSHIM_NIC_<NAME>_<KEY>)"));
	cr_expect(eq(u32, l->policy.nic_count, 1));
	cr_expect(eq(int, l->policy.nic[0].hash, NIC_HASH_AUTO));
}

Test(policy_environment, disable)
{
	char *both[] = {"RSSSHIM_DISABLE=1", "RSSSHIM_SHIM_ENABLED=yes", NULL};
	struct loaded *l = load_all(NULL, 0, both);

	cr_expect(eq(int, l->policy.shim_enabled, ENABLED_NO));
	cr_expect(l->policy.disabled);
	l = load_variable("[shim]\nenabled = yes", "RSSSHIM_DISABLE=please");
	cr_expect(eq(int, l->policy.shim_enabled, ENABLED_NO));
	l = load_variable(NULL, "RSSSHIM_DISABLE=0");
	cr_expect(eq(int, l->policy.shim_enabled, ENABLED_YES));
	cr_expect(not(l->policy.disabled));
	l = load_variable(NULL, "RSSSHIM_DISABLE=");
	cr_expect(eq(int, l->policy.shim_enabled, ENABLED_YES));
}

Test(policy_environment, too_long)
{
	static char variable[64 * 1024] = "RSSSHIM_LISTEN_PORTS=";

	memset(variable + strlen(variable), '1', 30 * 1024);
	struct loaded *l = load_variable(NULL, variable);
	cr_expect(eq(u32, l->errors, 1));
	cr_expect(strstr(l->line[0], "too long") != NULL, "%s", l->line[0]);

	strcpy(variable, "RSSSHIM_NIC_");
	memset(variable + strlen(variable), 0, sizeof(variable) - strlen(variable));
	memset(variable + strlen(variable), 'E', 100);
	strcat(variable, "_HASH=none");
	l = load_variable(NULL, variable);
	cr_expect(eq(u32, l->errors, 1));
	memset(variable + 12, 'E', 1000);
	strcpy(variable + 1000, "_HASH=none");
	cr_expect(eq(u32, load_variable(NULL, variable)->errors, 1));
}
