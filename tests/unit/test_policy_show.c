/* What is shown of a policy is what a file that makes the same policy would hold. */
#include "policy_fixture.h"
#include "shim/policy/show.h"
#include "shim/policy/start.h"
#include <unistd.h>

static char shown[256 * 1024];

/* As an ini file: "[section]" before each key, which is allowed. */
static void append(const struct policy_entry *entry, void *context)
{
	static char value[24 * 1024];

	(void)context;
	policy_show_value(entry, value, sizeof(value));
	sprintf(shown + strlen(shown), "[%s%s%s]\n%s = %s\n", entry->option->section,
		entry->nic ? " " : "", entry->nic ? entry->nic->name : "", entry->option->key,
		value);
}

/* All but origins and scratch. */
static void forget_origins(struct policy *policy)
{
	memset(policy->origin, 0, sizeof(policy->origin));
	for (unsigned i = 0; i < policy->nic_count; i++)
		memset(policy->nic[i].origin, 0, sizeof(policy->nic[i].origin));
	memset(policy->pool + policy->pool_used, 0,
	       (POLICY_POOL_MAX - policy->pool_used) * sizeof(policy->pool[0]));
}

static void expect_round_trip(const char *text)
{
	static struct policy first;
	struct loaded *loaded = load_text(text);

	cr_assert(eq(u32, loaded->count, 0), "%s", loaded->line[0]);
	first = loaded->policy;
	shown[0] = '\0';
	policy_visit(&first, append, NULL);
	loaded = load_text(shown);
	cr_assert(eq(u32, loaded->count, 0), "%s", loaded->line[0]);
	forget_origins(&first);
	forget_origins(&loaded->policy);
	cr_expect(eq(int, memcmp(&first, &loaded->policy, sizeof(first)), 0), "%s", shown);
}

Test(policy_show, round_trip)
{
	static char text[64 * 1024];

	expect_round_trip("");
	expect_round_trip("[shim]\nenabled = observe\nlog = debug\nlog_file = /var/log/a b\n"
			  "[listen]\nsteer = no\nports = 80 443 8000-8099\nbuckets = 0-3,8,1023\n"
			  "share = yes\nmembers = 7\n"
			  "[connect]\nsteer = no\ntries = 3\nrange = 2000-3000\nexhausted = fail\n"
			  "[migrate]\nmode = epoll\n[threads]\npin = auto\n[balance]\nsteal = 5\n"
			  "[nic eth0]\nhash = learn\nhash_key = 000102030405060708090a0b0c0d0e0f\n"
			  "indirection = equal 4\ntransform = symmetric-xor\nfields = addresses\n"
			  "queue_cpus = 3 2 1 0\n[nic eth1]\nindirection = 5 5 6\n");
	strcpy(text, "[nic e]\nindirection =");
	for (unsigned i = 0; i < 4096; i++)
		sprintf(text + strlen(text), " %u", i * 7 % 1024);
	expect_round_trip(text);
}

struct wanted {
	const char *name, *value, *origin;
	bool found;
};

static void compare(const struct policy_entry *entry, void *context)
{
	struct wanted *wanted = context;
	char name[64], text[64];

	policy_show_name(entry, name, sizeof(name));
	if (strcmp(name, wanted->name) != 0)
		return;
	wanted->found = true;
	policy_show_value(entry, text, sizeof(text));
	cr_expect(eq(str, text, (char *)wanted->value), "%s", name);
	policy_show_origin(entry, text, sizeof(text));
	cr_expect(eq(str, text, (char *)wanted->origin), "%s", name);
}

static void expect_shown(const struct policy *policy, const char *name, const char *value,
			 const char *origin)
{
	struct wanted wanted = {name, value, origin, false};

	policy_visit(policy, compare, &wanted);
	cr_expect(wanted.found, "%s", name);
}

Test(policy_show, where_values_come_from)
{
	static const char text[] = "[connect]\ntries = 3\n[nic eth0.1]\nhash = none\n";
	char *environment[] = {"RSSSHIM_LISTEN_SHARE=yes", "RSSSHIM_NIC_ETH0_1_FIELDS=addresses",
			       "RSSSHIM_NIC_BR0_HASH=learn", NULL};
	struct policy *p = &load_all(text, sizeof(text) - 1, environment)->policy;

	expect_shown(p, "connect.tries", "3", "p.ini:2");
	expect_shown(p, "connect.steer", "yes", "default");
	expect_shown(p, "shim.log_file", "", "default");
	expect_shown(p, "listen.share", "yes", "RSSSHIM_LISTEN_SHARE");
	expect_shown(p, "nic eth0.1.hash", "none", "p.ini:4");
	expect_shown(p, "nic eth0.1.fields", "addresses", "RSSSHIM_NIC_ETH0_1_FIELDS");
	expect_shown(p, "nic eth0.1.hash_key", "auto", "default");
	expect_shown(p, "nic BR0.hash", "learn", "RSSSHIM_NIC_BR0_HASH");
	expect_shown(&load_variable(NULL, "RSSSHIM_DISABLE=1")->policy, "shim.enabled", "no",
		     "RSSSHIM_DISABLE");
	expect_shown(&load_variable(NULL, "RSSSHIM_SHIM_ENABLED=no")->policy, "shim.enabled", "no",
		     "RSSSHIM_SHIM_ENABLED");
}

Test(policy_show, what_does_not_fit)
{
	struct policy *p =
		&load_text("[listen]\nports = 1111 2222 3333\n[shim]\nlog_file = /abcdefgh\n")
			 ->policy;
	struct policy_entry ports = {.policy = p,
				     .option = &policy_options[OPTION_listen_ports],
				     .field = &p->listen_ports};
	char out[32];

	memset(out, 'x', sizeof(out));
	policy_show_value(&ports, out, 15);
	cr_expect(eq(str, out, "1111 2222..."));
	cr_expect(eq(chr, out[15], 'x'));
	policy_show_value(&ports, out, 17);
	cr_expect(eq(str, out, "1111 2222..."));
	policy_show_value(&ports, out, 18);
	cr_expect(eq(str, out, "1111 2222 3333"));
	policy_show_value(&ports, out, 4);
	cr_expect(eq(str, out, "..."));
}

Test(policy_show, logged_at_start)
{
	static char said[4096];
	char *environment[] = {"RSSSHIM_SHIM_LOG=info", "RSSSHIM_CONNECT_TRIES=5", NULL};
	static struct policy policy;
	int ends[2];

	cr_assert(eq(int, pipe(ends), 0));
	dup2(ends[1], 2);
	policy_start(&policy, environment, "no such program");
	cr_expect(gt(int, (int)read(ends[0], said, sizeof(said) - 1), 0));
	cr_expect(strstr(said, ": shim.log = info (RSSSHIM_SHIM_LOG)\n") != NULL, "%s", said);
	cr_expect(strstr(said, ": connect.tries = 5 (RSSSHIM_CONNECT_TRIES)\n") != NULL, "%s",
		  said);
	cr_expect(strstr(said, "connect.steer") == NULL, "%s", said);
}
