/* The file around the values: sections, lines, comments, what is wrong with them. */
#include "policy_fixture.h"

static void expect_line(const struct loaded *loaded, unsigned i, const char *wanted)
{
	cr_assert(loaded->count > i, "no line %u, wanted \"%s\"", i, wanted);
	cr_expect(eq(str, (char *)loaded->line[i], (char *)wanted));
}

Test(policy_file, the_contract_example)
{
	struct loaded *l = load_text(
		"[shim]\n"
		"enabled = yes             ; yes | observe (count, touch nothing) | no\n"
		"log = info                ; error | warn | info | debug, to stderr or log_file\n"
		"log_file =\n"
		"\n"
		"[listen]\n"
		"ports =                   ; empty: all\n"
		"buckets = auto            ; or a CPU list\n"
		"share = yes               ; yes: independent instances may bind the same address\n"
		"[balance]\n"
		"steal = off               ; or N: at most one connection stolen for N local ones\n"
		"[nic eth0]                ; only what differs from what the kernel reports\n"
		"indirection = equal 4     ; or the table itself: 0 1 2 3 0 1 ...\n"
		"queue_cpus = 0 1 2 3      ; CPU of each receive queue\n");

	cr_expect(eq(u32, l->count, 0), "%s", l->line[0]);
	cr_expect(eq(int, l->policy.shim_log, LOG_LEVEL_INFO));
	cr_expect(l->policy.listen_share);
	cr_expect(eq(str, l->policy.nic[0].name, "eth0"));
	cr_expect(eq(u16, l->policy.nic[0].indirection.equal, 4));
	cr_expect(eq(u16, l->policy.nic[0].queue_cpus.count, 4));
}

Test(policy_file, origins)
{
	struct loaded *l = load_text("[shim]\n\n; comment\nlog = info\n[nic e]\nhash = none\n");

	cr_expect(eq(int, l->policy.origin[OPTION_shim_log].kind, FROM_FILE));
	cr_expect(eq(u32, l->policy.origin[OPTION_shim_log].line, 4));
	cr_expect(eq(int, l->policy.origin[OPTION_shim_enabled].kind, FROM_DEFAULT));
	cr_expect(eq(int, l->policy.nic[0].origin[NIC_OPTION_hash].kind, FROM_FILE));
	cr_expect(eq(u32, l->policy.nic[0].origin[NIC_OPTION_hash].line, 6));
	cr_expect(eq(int, l->policy.nic[0].origin[NIC_OPTION_fields].kind, FROM_DEFAULT));
	cr_expect(eq(str, l->policy.file.text, "p.ini"));
}

Test(policy_file, all_errors_are_reported_in_order)
{
	struct loaded *l = load_text("steer = no\n"
				     "[lisen]\n"
				     "steer = no\n"
				     "[listen]\n"
				     "sterr = no\n"
				     "share = maybe\n"
				     "steer\n"
				     "[listen\n"
				     "steer = no\n"
				     "[listen] steer = no\n"
				     "[connect]\n"
				     "steer = no\n");

	expect_line(l, 0,
		    "p.ini:1: steer is outside any section ([shim] [listen] [connect] "
		    "[migrate] [threads] [balance] [nic NAME])");
	expect_line(l, 1,
		    "p.ini:2: unknown section [lisen] ([shim] [listen] [connect] [migrate] "
		    "[threads] [balance] [nic NAME])");
	expect_line(l, 2,
		    "p.ini:5: unknown key sterr in [listen] (steer ports buckets share "
		    "members)");
	expect_line(l, 3, "p.ini:6: [listen] share = maybe: neither yes nor no (no | yes)");
	expect_line(l, 4, "p.ini:7: steer: no value (key = value)");
	expect_line(l, 5,
		    "p.ini:8: [listen: not a section's header ([section], nothing behind it)");
	expect_line(l, 6,
		    "p.ini:10: [listen] steer = no: not a section's header ([section], "
		    "nothing behind it)");
	cr_expect(eq(u32, l->count, 7));
	cr_expect(l->policy.listen_steer, "no line under a broken header counts");
	cr_expect(not(l->policy.connect_steer), "the file is read to its end");
}

Test(policy_file, unknown_section_without_keys)
{
	expect_line(load_text("[listne]"), 0,
		    "p.ini:1: unknown section [listne] ([shim] [listen] [connect] [migrate] "
		    "[threads] [balance] [nic NAME])");
}

Test(policy_file, nic_sections)
{
	struct loaded *l =
		load_text("[nic eth0]\nhash = none\n[nic \t bond0.12]\nfields = addresses\n"
			  "[ nic eth0 ]\ntransform = none\n[listen]\nshare = yes\n");

	cr_expect(eq(u32, l->count, 0), "%s", l->line[0]);
	cr_assert(eq(u32, l->policy.nic_count, 2));
	const struct policy_nic *nic = policy_nic(&l->policy, "eth0");
	cr_expect(eq(ptr, (void *)nic, &l->policy.nic[0]));
	cr_expect(eq(int, nic->hash, NIC_HASH_NONE));
	cr_expect(eq(int, nic->transform, NIC_TRANSFORM_NONE));
	cr_expect(l->policy.listen_share);
	cr_expect(eq(ptr, (void *)policy_nic(&l->policy, "bond0.12"), &l->policy.nic[1]));
	cr_expect(eq(ptr, (void *)policy_nic(&l->policy, "eth1"), NULL));
	cr_expect(eq(ptr, (void *)policy_nic(&l->policy, "ETH0"), NULL), "names are exact");
}

Test(policy_file, nic_names_that_cannot_be)
{
	static const char *const names[] = {"[nic]",     "[nic ]",    "[nic a b]",
					    "[nic a/b]", "[nic a:b]", "[nic 1234567890123456]"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct loaded *l = load_text(names[i]);
		cr_expect(eq(u32, l->errors, 1), "%s", names[i]);
		cr_expect(eq(u32, l->policy.nic_count, 0), "%s", names[i]);
		cr_expect(strstr(l->line[0], "([nic NAME])") != NULL, "%s", l->line[0]);
	}
	cr_expect(eq(u32, load_text("[nic 123456789012345]")->errors, 0));
	cr_expect(eq(u32, load_text("[nicotine]")->errors, 1));
}

Test(policy_file, too_many_nics)
{
	char text[1024] = "";

	for (int i = 0; i < POLICY_NICS_MAX + 1; i++)
		sprintf(text + strlen(text), "[nic e%d]\nhash = none\n", i);
	struct loaded *l = load_text(text);
	cr_expect(eq(u32, l->policy.nic_count, POLICY_NICS_MAX));
	cr_expect(eq(u32, l->count, 1));
	expect_line(l, 0, "p.ini:33: [nic e16]: more than 16 NICs ([nic NAME])");
}

Test(policy_file, the_last_of_two_holds_with_a_warning)
{
	struct loaded *l = load_text("[connect]\ntries = 1\n[listen]\n[connect]\ntries = 2\n");

	cr_expect(eq(u32, l->errors, 0));
	cr_expect(eq(u32, l->count, 1));
	expect_line(l, 0,
		    "p.ini:5: [connect] tries is given again, line 2 no longer holds "
		    "(each key once)");
	cr_expect(eq(u32, l->policy.connect_tries, 2));
	cr_expect(eq(u32, l->policy.origin[OPTION_connect_tries].line, 5));
}

Test(policy_file, a_bad_value_after_a_good_one_is_the_default)
{
	struct loaded *l = load_text("[connect]\ntries = 1\ntries = x\n");

	cr_expect(eq(u32, l->errors, 1));
	cr_expect(eq(u32, l->policy.connect_tries, 16));
	cr_expect(eq(int, l->policy.origin[OPTION_connect_tries].kind, FROM_DEFAULT));
}

Test(policy_file, indented_keys_are_keys)
{
	struct loaded *l =
		load_text("  [connect]\n  tries = 1\n\tsteer = no\n  [listen]\n  share=yes");

	cr_expect(eq(u32, l->count, 0), "%s", l->line[0]);
	cr_expect(eq(u32, l->policy.connect_tries, 1));
	cr_expect(not(l->policy.connect_steer));
	cr_expect(l->policy.listen_share);
}

Test(policy_file, continued_values)
{
	struct loaded *l = load_text("[listen]\n"
				     "ports =\n"
				     "    80 443   ; web\n"
				     "\n"
				     "    ; a comment between\n"
				     "\t8000-8099\n"
				     "share = yes\n");

	cr_expect(eq(u32, l->count, 0), "%s", l->line[0]);
	cr_expect(eq(u16, l->policy.listen_ports.count, 3));
	cr_expect(l->policy.listen_share);
	cr_expect(eq(u32, l->policy.origin[OPTION_listen_ports].line, 2));
	/* An error is reported at the key. */
	expect_line(load_text("[listen]\nports = 80\n  443\n  x\n"), 0,
		    "p.ini:2: [listen] ports = 80 443 x: not a list of numbers (ports and ranges "
		    "such as 80 443 8000-8099; empty: all)");
}

Test(policy_file, continuation_of_nothing)
{
	expect_line(load_text("[listen]\n  80 443\n"), 0,
		    "p.ini:2: 80 443: no value (key = value)");
	/* That of an unknown key belongs to it, and says nothing more. */
	struct loaded *l = load_text("[listen]\nprots = 80\n  443\nsteer = no");
	cr_expect(eq(u32, l->count, 1));
	cr_expect(not(l->policy.listen_steer));
}

/* inih's lines end at 200 bytes, the rest is dropped: nothing of ours may be. */
Test(policy_file, long_lines)
{
	static char text[64 * 1024];

	for (size_t pad = 0; pad < 700; pad += 7) {
		size_t used = (size_t)sprintf(text, "[nic e]\nindirection =%*s", (int)pad, "");
		for (unsigned i = 0; i < 4096; i++)
			used += (size_t)sprintf(text + used, "%s%u", i ? " " : "", i * 7 % 1024);
		sprintf(text + used, " ; %0500d\nhash = none\n", 7);
		struct loaded *l = load_text(text);
		cr_assert(eq(u32, l->count, 0), "%zu: %s", pad, l->line[0]);
		struct policy_list *entry = &l->policy.nic[0].indirection.entry;
		cr_assert(eq(u16, entry->count, 4096), "%zu", pad);
		for (unsigned i = 0; i < 4096; i++)
			cr_assert(eq(u16, policy_values(&l->policy, entry)[i], i * 7 % 1024));
		cr_expect(eq(int, l->policy.nic[0].hash, NIC_HASH_NONE));
		cr_expect(eq(u32, l->policy.nic[0].origin[NIC_OPTION_hash].line, 3));
	}
}

Test(policy_file, a_table_of_one_entry_too_many_is_refused)
{
	static char text[64 * 1024] = "[nic e]\nindirection =";

	for (unsigned i = 0; i < 4097; i++)
		strcat(text + 8 * i / 4, " 1023");
	struct loaded *l = load_text(text);
	cr_expect(eq(u32, l->errors, 1));
	cr_expect(strstr(l->line[0], "too many entries") != NULL, "%s", l->line[0]);
	cr_expect(eq(u16, l->policy.nic[0].indirection.entry.count, 0));
}

/* Words that are longer than inih's line, or that would be a comment at the start of one. */
Test(policy_file, long_words)
{
	static char path[POLICY_PATH_MAX], text[2048];

	for (size_t len = 150; len < POLICY_PATH_MAX; len++) {
		for (size_t i = 0; i < len; i++)
			path[i] = "/#;x;#; y #"[i % 11]; /* no blank before ';' */
		path[len - 1] = 'x';
		path[len] = '\0';
		sprintf(text, "[shim]\nlog_file = %s\nlog = info", path);
		struct loaded *l = load_text(text);
		cr_assert(eq(u32, l->count, 0), "%s", l->line[0]);
		cr_assert(eq(str, l->policy.shim_log_file.text, path));
		cr_assert(eq(int, l->policy.shim_log, LOG_LEVEL_INFO));
	}
}

Test(policy_file, what_cannot_be_folded_is_said)
{
	static char text[4096], word[1024];

	memset(word, 'k', 300);
	sprintf(text, "[shim]\nlog = info\n%s = 1\n  2\n[connect]\ntries = 3\n", word);
	struct loaded *l = load_text(text);
	expect_line(l, 0,
		    "p.ini:3: the line is too long (put the value on several lines, all but "
		    "the first indented)");
	cr_expect(eq(int, l->policy.shim_log, LOG_LEVEL_INFO));
	cr_expect(eq(u32, l->policy.connect_tries, 3));

	memset(word, ';', 300);
	sprintf(text, "[shim]\nlog_file = /%s\n", word);
	l = load_text(text);
	cr_expect(eq(u32, l->errors, 1));
	cr_expect(eq(str, l->policy.shim_log_file.text, ""));

	memset(word, 's', 300);
	sprintf(text, "[%s]\nlog = info\n", word);
	cr_expect(eq(u32, load_text(text)->errors, 1));
}

Test(policy_file, a_value_too_long_to_hold_is_refused)
{
	static char text[64 * 1024] = "[listen]\nports = 80";

	memset(text + strlen(text), ' ', 30 * 1024);
	strcat(text, "443\nshare = yes");
	struct loaded *l = load_text(text);
	cr_expect(eq(u32, l->errors, 1));
	cr_expect(strstr(l->line[0], "the value is too long") != NULL, "%s", l->line[0]);
	cr_expect(eq(u16, l->policy.listen_ports.count, 0));
	cr_expect(l->policy.listen_share);
}

Test(policy_file, nul_bytes)
{
	static const char text[] = "[listen]\nshare = yes\0no\nsteer = no\n[con\0nect]\n"
				   "ports = 80\n  4\00043\n  90\n";
	struct loaded *l = load_all(text, sizeof(text) - 1, NULL);

	expect_line(l, 0, "p.ini:2: a NUL byte (a policy file is text)");
	expect_line(l, 1, "p.ini:4: a NUL byte (a policy file is text)");
	expect_line(l, 2, "p.ini:6: a NUL byte (a policy file is text)");
	cr_expect(not(l->policy.listen_share));
	cr_expect(not(l->policy.listen_steer));
	cr_expect(eq(u16, l->policy.listen_ports.count, 0), "half a value is none");
}

Test(policy_file, windows_line_ends_and_byte_order_mark)
{
	struct loaded *l =
		load_text("\xef\xbb\xbf[listen]\r\nshare = yes\r\nports = 80\r\n\t443\r\n");

	cr_expect(eq(u32, l->count, 0), "%s", l->line[0]);
	cr_expect(l->policy.listen_share);
	cr_expect(eq(u16, l->policy.listen_ports.count, 2));
}

Test(policy_file, not_terminated)
{
	/* Exactly size bytes count: what is behind them is not looked at. */
	static const char text[] = "[connect]\ntries = 12345";
	struct loaded *l = load_all(text, sizeof(text) - 1 - 3, NULL);

	cr_expect(eq(u32, l->policy.connect_tries, 12));
	cr_expect(eq(u32, load_all("", 0, NULL)->count, 0));
}

Test(policy_file, quoted_text_is_made_harmless)
{
	struct loaded *l = load_text("[shim]\nlog = \x1b[31mred\x07\n");

	expect_line(l, 0,
		    "p.ini:2: [shim] log = ?[31mred?: not one of the words (error | warn | "
		    "info | debug)");
}
