/* Every key: its default, what it takes and what it refuses. */
#include "policy_fixture.h"
#include "shim/policy/option.h"

/* Loads "[section]\nkey = value" and expects no word about it. */
static struct policy *good(const char *section, const char *key, const char *value)
{
	static char text[32 * 1024];

	snprintf(text, sizeof(text), "[%s]\n%s = %s\n", section, key, value);
	struct loaded *loaded = load_text(text);
	cr_expect(eq(u32, loaded->count, 0), "[%s] %s = %s: %s", section, key, value,
		  loaded->line[0]);
	return &loaded->policy;
}

/* Expects one error, at line 2, that names the key and ends with what is allowed; and that the
 * policy is the default one. */
static void bad(const char *section, const char *key, const char *value, const char *reason)
{
	static struct policy defaults;
	static char text[32 * 1024], start[128];
	const struct policy_option *option = NULL;

	snprintf(text, sizeof(text), "[%s]\n%s = %s\n", section, key, value);
	struct loaded *loaded = load_text(text);
	cr_assert(eq(u32, loaded->count, 1), "[%s] %s = %s", section, key, value);
	snprintf(start, sizeof(start), "p.ini:2: [%s] %s = ", section, key);
	cr_expect(eq(int, strncmp(loaded->line[0], start, strlen(start)), 0), "%s",
		  loaded->line[0]);
	cr_expect(strstr(loaded->line[0], reason) != NULL, "\"%s\" lacks \"%s\"", loaded->line[0],
		  reason);
	for (int id = 0; id < OPTION_COUNT; id++)
		if (!strcmp(policy_options[id].section, section) &&
		    !strcmp(policy_options[id].key, key))
			option = &policy_options[id];
	for (int id = 0; id < NIC_OPTION_COUNT; id++)
		if (!strncmp(section, "nic ", 4) && !strcmp(policy_nic_options[id].key, key))
			option = &policy_nic_options[id];
	cr_assert(option != NULL);
	cr_expect(strstr(loaded->line[0], option->allowed) != NULL, "%s", loaded->line[0]);

	policy_defaults(&defaults);
	defaults.file = loaded->policy.file;
	defaults.nic_count = loaded->policy.nic_count;
	memcpy(defaults.nic[0].name, loaded->policy.nic[0].name, sizeof(defaults.nic[0].name));
	memcpy(defaults.pool, loaded->policy.pool, sizeof(defaults.pool)); /* scratch beyond used */
	cr_expect(eq(int, memcmp(&defaults, &loaded->policy, sizeof(defaults)), 0),
		  "[%s] %s = %s left something behind", section, key, value);
}

Test(policy_values, defaults)
{
	static struct policy p;

	policy_defaults(&p);
	cr_expect(eq(int, p.shim_enabled, ENABLED_YES));
	cr_expect(eq(int, p.shim_log, LOG_LEVEL_WARN));
	cr_expect(eq(str, p.shim_log_file.text, ""));
	cr_expect(p.listen_steer);
	cr_expect(eq(u16, p.listen_ports.count, 0));
	cr_expect(eq(int, p.listen_buckets.kind, CPUS_AUTO));
	cr_expect(not(p.listen_share));
	cr_expect(eq(u32, p.listen_members, 64));
	cr_expect(p.connect_steer);
	cr_expect(eq(u32, p.connect_tries, 16));
	cr_expect(eq(u16, p.connect_range.low, 0));
	cr_expect(eq(int, p.connect_exhausted, EXHAUSTED_UNALIGNED));
	cr_expect(eq(int, p.migrate_mode, MIGRATE_ACCEPT));
	cr_expect(eq(int, p.threads_pin.kind, CPUS_OFF));
	cr_expect(eq(u32, p.balance_steal, 0));
	cr_expect(eq(u32, p.nic_count, 0));
	cr_expect(not(p.disabled));
	for (int id = 0; id < OPTION_COUNT; id++)
		cr_expect(eq(int, p.origin[id].kind, FROM_DEFAULT));
}

Test(policy_values, every_default_is_what_its_reader_takes)
{
	for (int id = 0; id < OPTION_COUNT; id++)
		good(policy_options[id].section, policy_options[id].key, policy_options[id].text);
	for (int id = 0; id < NIC_OPTION_COUNT; id++)
		good("nic eth0", policy_nic_options[id].key, policy_nic_options[id].text);
}

Test(policy_values, words)
{
	cr_expect(eq(int, good("shim", "enabled", "no")->shim_enabled, ENABLED_NO));
	cr_expect(eq(int, good("shim", "enabled", "observe")->shim_enabled, ENABLED_OBSERVE));
	cr_expect(eq(int, good("shim", "enabled", "yes")->shim_enabled, ENABLED_YES));
	cr_expect(eq(int, good("shim", "log", "error")->shim_log, LOG_LEVEL_ERROR));
	cr_expect(eq(int, good("shim", "log", "warn")->shim_log, LOG_LEVEL_WARN));
	cr_expect(eq(int, good("shim", "log", "info")->shim_log, LOG_LEVEL_INFO));
	cr_expect(eq(int, good("shim", "log", "debug")->shim_log, LOG_LEVEL_DEBUG));
	cr_expect(eq(int, good("connect", "exhausted", "unaligned")->connect_exhausted,
		     EXHAUSTED_UNALIGNED));
	cr_expect(eq(int, good("connect", "exhausted", "fail")->connect_exhausted, EXHAUSTED_FAIL));
	cr_expect(eq(int, good("migrate", "mode", "off")->migrate_mode, MIGRATE_OFF));
	cr_expect(eq(int, good("migrate", "mode", "accept")->migrate_mode, MIGRATE_ACCEPT));
	cr_expect(eq(int, good("migrate", "mode", "epoll")->migrate_mode, MIGRATE_EPOLL));
	bad("shim", "enabled", "", "not one of the words");
	bad("shim", "enabled", "YES", "not one of the words");
	bad("shim", "enabled", "no |", "not one of the words");
	bad("shim", "log", "warning", "not one of the words");
	bad("connect", "exhausted", "fai", "not one of the words");
	bad("migrate", "mode", "yes", "not one of the words");
}

Test(policy_values, yes_no)
{
	cr_expect(not(good("listen", "steer", "no")->listen_steer));
	cr_expect(good("listen", "steer", "yes")->listen_steer);
	cr_expect(good("listen", "share", "yes")->listen_share);
	cr_expect(not(good("connect", "steer", "no")->connect_steer));
	bad("listen", "steer", "on", "neither yes nor no");
	bad("listen", "share", "1", "neither yes nor no");
	bad("connect", "steer", "", "neither yes nor no");
}

Test(policy_values, numbers)
{
	cr_expect(eq(u32, good("listen", "members", "2")->listen_members, 2));
	cr_expect(eq(u32, good("listen", "members", "256")->listen_members, 256));
	cr_expect(eq(u32, good("connect", "tries", "0007")->connect_tries, 7));
	cr_expect(eq(u32, good("balance", "steal", "5")->balance_steal, 5));
	cr_expect(eq(u32, good("balance", "steal", "off")->balance_steal, 0));
	bad("listen", "members", "1", "out of range");
	bad("listen", "members", "257", "out of range");
	bad("connect", "tries", "-1", "not a number");
	bad("connect", "tries", "0x10", "not a number");
	bad("connect", "tries", "", "not a number");
	bad("connect", "tries", "4294967297", "out of range"); /* 1, in 32 bits */
	bad("connect", "tries", "99999999999999999999999", "out of range");
	bad("balance", "steal", "0", "out of range");
	bad("balance", "steal", "never", "not a number");
}

Test(policy_values, log_file)
{
	char path[POLICY_PATH_MAX + 1];

	cr_expect(eq(str, good("shim", "log_file", "/var/log/a b.log")->shim_log_file.text,
		     "/var/log/a b.log"));
	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[POLICY_PATH_MAX - 1] = '\0';
	cr_expect(eq(str, good("shim", "log_file", path)->shim_log_file.text, path));
	path[POLICY_PATH_MAX - 1] = 'x';
	path[POLICY_PATH_MAX] = '\0';
	bad("shim", "log_file", path, "too long");
	bad("shim", "log_file", "rssshim.log", "not an absolute path");
}

Test(policy_values, range)
{
	struct policy *p = good("connect", "range", "32768-60999");

	cr_expect(eq(u16, p->connect_range.low, 32768));
	cr_expect(eq(u16, p->connect_range.high, 60999));
	cr_expect(eq(u16, good("connect", "range", "1-65535")->connect_range.high, 65535));
	cr_expect(eq(u16, good("connect", "range", "80-80")->connect_range.low, 80));
	bad("connect", "range", "0-80", "out of range");
	bad("connect", "range", "80-65536", "out of range");
	bad("connect", "range", "81-80", "ends before it begins");
	bad("connect", "range", "80", "not a range");
	bad("connect", "range", "80-", "not a range");
	bad("connect", "range", "80-90,95", "not a range");
}

static void expect_ports(const char *value, unsigned count, const unsigned (*range)[2])
{
	struct policy_ports *ports = &good("listen", "ports", value)->listen_ports;

	cr_assert(eq(u16, ports->count, count), "%s", value);
	for (unsigned i = 0; i < count; i++) {
		cr_expect(eq(u32, ports->range[i].low, range[i][0]), "%s, range %u", value, i);
		cr_expect(eq(u32, ports->range[i].high, range[i][1]), "%s, range %u", value, i);
	}
}

Test(policy_values, ports_are_sorted_and_merged)
{
	expect_ports("80", 1, (const unsigned[][2]){{80, 80}});
	expect_ports("443 80,8000-8099", 3,
		     (const unsigned[][2]){{80, 80}, {443, 443}, {8000, 8099}});
	expect_ports("82 80 81", 1, (const unsigned[][2]){{80, 82}});
	expect_ports("10-20 30-40 15-35", 1, (const unsigned[][2]){{10, 40}});
	expect_ports("10-20 30-40 50-60 21-29", 2, (const unsigned[][2]){{10, 40}, {50, 60}});
	expect_ports("1-65535 7", 1, (const unsigned[][2]){{1, 65535}});
	expect_ports("65535 65534 1", 2, (const unsigned[][2]){{1, 1}, {65534, 65535}});
	expect_ports(", ,", 0, NULL);
}

Test(policy_values, ports_refused)
{
	char text[1024] = "";

	bad("listen", "ports", "0", "out of range");
	bad("listen", "ports", "80 65536", "out of range");
	bad("listen", "ports", "80-", "not a list of numbers");
	bad("listen", "ports", "-80", "not a list of numbers");
	bad("listen", "ports", "http", "not a list of numbers");
	bad("listen", "ports", "80;443", "not a list of numbers");
	bad("listen", "ports", "90-80", "ends before it begins");
	for (unsigned port = 1; port <= 2 * POLICY_PORTS_MAX; port += 2)
		sprintf(text + strlen(text), "%u ", port);
	cr_expect(eq(u16, good("listen", "ports", text)->listen_ports.count, POLICY_PORTS_MAX));
	strcat(text, "1000");
	bad("listen", "ports", text, "more than 64");
	/* A port that joins two ranges makes room. */
	text[strlen(text) - 4] = '\0';
	strcat(text, "2 1000");
	cr_expect(eq(u16, good("listen", "ports", text)->listen_ports.count, POLICY_PORTS_MAX));
}

Test(policy_values, port_listed)
{
	struct policy_ports ports = good("listen", "ports", "80 8000-8099")->listen_ports;

	cr_expect(policy_port_listed(&ports, 80));
	cr_expect(policy_port_listed(&ports, 8000));
	cr_expect(policy_port_listed(&ports, 8099));
	cr_expect(not(policy_port_listed(&ports, 79)));
	cr_expect(not(policy_port_listed(&ports, 8100)));
	ports.count = 0;
	cr_expect(policy_port_listed(&ports, 79), "no list: all");
}

Test(policy_values, cpus)
{
	struct policy_cpus cpus = good("listen", "buckets", "3 0-1,1023")->listen_buckets;

	cr_expect(eq(int, cpus.kind, CPUS_LIST));
	cr_expect(eq(int, CPU_COUNT(&cpus.set), 4));
	static const int wanted[] = {0, 1, 3, 1023};
	for (int i = 0; i < 4; i++)
		cr_expect(ne(int, CPU_ISSET(wanted[i], &cpus.set), 0), "CPU %d", wanted[i]);
	cr_expect(eq(int, good("listen", "buckets", "auto")->listen_buckets.kind, CPUS_AUTO));
	cr_expect(eq(int, good("threads", "pin", "off")->threads_pin.kind, CPUS_OFF));
	cr_expect(eq(int, good("threads", "pin", "auto")->threads_pin.kind, CPUS_AUTO));
	cr_expect(eq(int, good("threads", "pin", "7")->threads_pin.kind, CPUS_LIST));
	bad("listen", "buckets", "off", "not a list of numbers");
	bad("listen", "buckets", "", "no CPU");
	bad("listen", "buckets", "1024", "out of range");
	bad("listen", "buckets", "0-4294967296", "out of range");
	bad("threads", "pin", "2-1", "ends before it begins");
	bad("threads", "pin", "all", "not a list of numbers");
}

Test(policy_values, nic_words)
{
	cr_expect(eq(int, good("nic e", "hash", "auto")->nic[0].hash, NIC_HASH_AUTO));
	cr_expect(eq(int, good("nic e", "hash", "toeplitz")->nic[0].hash, NIC_HASH_TOEPLITZ));
	cr_expect(eq(int, good("nic e", "hash", "learn")->nic[0].hash, NIC_HASH_LEARN));
	cr_expect(eq(int, good("nic e", "hash", "none")->nic[0].hash, NIC_HASH_NONE));
	cr_expect(
		eq(int, good("nic e", "transform", "none")->nic[0].transform, NIC_TRANSFORM_NONE));
	cr_expect(eq(int, good("nic e", "transform", "symmetric-xor")->nic[0].transform,
		     NIC_TRANSFORM_SYMMETRIC_XOR));
	cr_expect(eq(int, good("nic e", "transform", "symmetric-or-xor")->nic[0].transform,
		     NIC_TRANSFORM_SYMMETRIC_OR_XOR));
	cr_expect(eq(int, good("nic e", "fields", "4-tuple")->nic[0].fields, NIC_FIELDS_4_TUPLE));
	cr_expect(
		eq(int, good("nic e", "fields", "addresses")->nic[0].fields, NIC_FIELDS_ADDRESSES));
	bad("nic e", "hash", "crc32", "not one of the words");
	bad("nic e", "transform", "symmetric", "not one of the words");
	bad("nic e", "fields", "4", "not one of the words");
}

Test(policy_values, hash_key)
{
	char hex[3 * 64] = "";
	const uint8_t *byte = good("nic e", "hash_key", "6d:5A:56da255b0ec2 4167:25:3d:43:a3:8f:b0")
				      ->nic[0]
				      .hash_key.byte;

	cr_expect(eq(int,
		     memcmp(byte,
			    "\x6d\x5a\x56\xda\x25\x5b\x0e\xc2\x41\x67\x25\x3d\x43\xa3"
			    "\x8f\xb0",
			    16),
		     0));
	for (unsigned i = 0; i < 52; i++)
		sprintf(hex + strlen(hex), "%s%02x", i ? ":" : "", i);
	struct policy_key key = good("nic e", "hash_key", hex)->nic[0].hash_key;
	cr_expect(eq(u8, key.len, 52));
	for (unsigned i = 0; i < 52; i++)
		cr_expect(eq(u8, key.byte[i], i));
	strcat(hex, ":34");
	bad("nic e", "hash_key", hex, "too many bytes");
	hex[3 * 15 - 1] = '\0';
	bad("nic e", "hash_key", hex, "too few bytes");
	bad("nic e", "hash_key", "", "too few bytes");
	bad("nic e", "hash_key", "6d:5", "not pairs");
	bad("nic e", "hash_key", "6d::5a", "not pairs");
	bad("nic e", "hash_key", "6d:5a:", "not pairs");
	bad("nic e", "hash_key", "6d:5a:56:...", "not pairs");
	cr_expect(eq(u8, good("nic e", "hash_key", "auto")->nic[0].hash_key.len, 0));
}

Test(policy_values, indirection)
{
	struct policy *p = good("nic e", "indirection", "0 1 2,3 0 1 1023");
	const uint16_t wanted[] = {0, 1, 2, 3, 0, 1, 1023};

	cr_expect(eq(u16, p->nic[0].indirection.equal, 0));
	cr_expect(eq(u16, p->nic[0].indirection.entry.count, 7));
	cr_expect(eq(int,
		     memcmp(policy_values(p, &p->nic[0].indirection.entry), wanted, sizeof(wanted)),
		     0));
	cr_expect(eq(u16, good("nic e", "indirection", "equal 3")->nic[0].indirection.equal, 3));
	cr_expect(eq(u16, good("nic e", "indirection", "equal 1024")->nic[0].indirection.equal,
		     1024));
	bad("nic e", "indirection", "equal", "number of queues");
	bad("nic e", "indirection", "equal 0", "1 to 1024");
	bad("nic e", "indirection", "equal 1025", "1 to 1024");
	bad("nic e", "indirection", "equal 4 5", "number of queues");
	bad("nic e", "indirection", "equally", "number of queues");
	bad("nic e", "indirection", "0 1 1024", "out of range");
	bad("nic e", "indirection", "0 1 x", "not a list of numbers");
	bad("nic e", "indirection", "", "an empty list");
}

Test(policy_values, queue_cpus)
{
	struct policy *p = good("nic e", "queue_cpus", "8-10 0");
	const uint16_t wanted[] = {8, 9, 10, 0};

	cr_expect(eq(u16, p->nic[0].queue_cpus.count, 4));
	cr_expect(eq(int, memcmp(policy_values(p, &p->nic[0].queue_cpus), wanted, sizeof(wanted)),
		     0));
	cr_expect(eq(u16, good("nic e", "queue_cpus", "0-1023")->nic[0].queue_cpus.count, 1024));
	bad("nic e", "queue_cpus", "0-1023 0", "too many entries");
	bad("nic e", "queue_cpus", "1024", "out of range");
	bad("nic e", "queue_cpus", "", "an empty list");
}

Test(policy_values, lists_share_one_pool)
{
	static char text[128 * 1024];
	size_t used = 0;

	/* Each NIC: 4 x 1024 entries. Four fit, the fifth does not. */
	for (unsigned nic = 0; nic < 5; nic++) {
		used += (size_t)sprintf(text + used, "[nic e%u]\nindirection = %u", nic, nic);
		for (unsigned i = 1; i < 4096; i++)
			used += (size_t)sprintf(text + used, " %u", (i + nic) % 1024);
		used += (size_t)sprintf(text + used, "\n");
	}
	struct loaded *loaded = load_text(text);
	struct policy *p = &loaded->policy;
	cr_assert(eq(u32, loaded->count, 1));
	cr_expect(strstr(loaded->line[0], "more than 16384 entries") != NULL, "%s",
		  loaded->line[0]);
	cr_assert(eq(u32, p->nic_count, 5));
	cr_expect(eq(u16, p->nic[4].indirection.entry.count, 0));
	for (unsigned nic = 0; nic < 4; nic++)
		for (unsigned i = 0; i < 4096; i++)
			cr_assert(eq(u16, policy_values(p, &p->nic[nic].indirection.entry)[i],
				     (i + nic) % 1024));
}
