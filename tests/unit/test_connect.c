/* What connect() decides by, as far as no kernel is asked. */
#include "shim/connect/destination.h"
#include "shim/connect/hold.h"
#include "shim/connect/local_ports.h"
#include "shim/connect/route_cache.h"
#include "shim/connect/trust.h"
#include "shim/connect/uplink.h"
#include "shim/policy/policy.h"
#include "tests/unit/reference.h"
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static union address address_of(const char *text, uint16_t port)
{
	union address address = {0};

	if (strchr(text, ':')) {
		address.in6.sin6_family = AF_INET6;
		address.in6.sin6_port = htons(port);
		cr_assert_eq(inet_pton(AF_INET6, text, &address.in6.sin6_addr), 1);
	} else {
		address.in.sin_family = AF_INET;
		address.in.sin_port = htons(port);
		cr_assert_eq(inet_pton(AF_INET, text, &address.in.sin_addr), 1);
	}
	return address;
}

static bool parse(const char *text, struct destination *to)
{
	union address address = address_of(text, 443);

	memset(to, 0xaa, sizeof(*to));
	return destination_parse(&address.any, sizeof(address), to);
}

static void expect_bytes(const uint8_t got[16], int family, const char *text)
{
	uint8_t want[16] = {0};

	cr_assert_eq(inet_pton(family, text, want), 1);
	cr_assert_arr_eq(got, want, 16, "not %s", text);
}

Test(destination, what_a_nic_sees)
{
	static const struct {
		const char *text, *remote;
		int family;
	} cases[] = {
		{"192.0.2.7", "192.0.2.7", AF_INET},
		{"1.0.0.0", "1.0.0.0", AF_INET},
		{"126.255.255.255", "126.255.255.255", AF_INET},
		{"128.0.0.1", "128.0.0.1", AF_INET},
		{"223.255.255.255", "223.255.255.255", AF_INET},
		{"2001:db8::7", "2001:db8::7", AF_INET6},
		{"::ffff:192.0.2.7", "192.0.2.7", AF_INET},
		{"::2", "::2", AF_INET6},
	};
	static const uint8_t none[16];
	struct destination to;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		cr_assert(parse(cases[i].text, &to), "%s", cases[i].text);
		cr_assert_eq(to.flow.family, cases[i].family, "%s", cases[i].text);
		cr_assert_eq(to.flow.remote_port, 443);
		cr_assert_eq(to.flow.local_port, 0);
		cr_assert_eq(to.interface, 0);
		cr_assert_arr_eq(to.flow.local, none, 16);
		expect_bytes(to.flow.remote, cases[i].family, cases[i].remote);
	}
}

Test(destination, no_nic_concerned)
{
	static const char *const texts[] = {
		"0.0.0.0",
		"127.0.0.1",
		"127.255.0.1",
		"224.0.0.1",
		"255.255.255.255",
		"::",
		"::1",
		"ff02::1",
		"::ffff:127.0.0.1",
		"::ffff:224.0.0.1",
		"::ffff:0.0.0.0",
	};
	struct destination to;

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		cr_assert_not(parse(texts[i], &to), "%s", texts[i]);
}

Test(destination, cut_short_or_another_family)
{
	const socklen_t without_scope = offsetof(struct sockaddr_in6, sin6_scope_id);
	union address in = address_of("192.0.2.7", 443), in6 = address_of("2001:db8::7", 443);
	struct destination to;

	cr_assert_not(destination_parse(NULL, sizeof(in), &to));
	for (socklen_t length = 0; length < sizeof(in.in); length++)
		cr_assert_not(destination_parse(&in.any, length, &to), "%u bytes", length);
	cr_assert(destination_parse(&in.any, sizeof(in.in), &to));
	for (socklen_t length = 0; length < without_scope; length++)
		cr_assert_not(destination_parse(&in6.any, length, &to), "%u bytes", length);
	cr_assert(destination_parse(&in6.any, without_scope, &to));
	in.any.sa_family = AF_UNIX;
	cr_assert_not(destination_parse(&in.any, sizeof(in), &to));
	/* Ends a connection's association. */
	in.any.sa_family = AF_UNSPEC;
	cr_assert_not(destination_parse(&in.any, sizeof(in), &to));
}

Test(destination, scope_of_link_local_only)
{
	union address local = address_of("fe80::7", 443), global = address_of("2001:db8::7", 443);
	struct destination to;

	local.in6.sin6_scope_id = global.in6.sin6_scope_id = 5;
	cr_assert(destination_parse(&local.any, sizeof(local.in6), &to));
	cr_assert_eq(to.interface, 5);
	cr_assert(destination_parse(&local.any, offsetof(struct sockaddr_in6, sin6_scope_id), &to));
	cr_assert_eq(to.interface, 0);
	cr_assert(destination_parse(&global.any, sizeof(global.in6), &to));
	cr_assert_eq(to.interface, 0);
}

Test(destination, bound_address)
{
	union address in = address_of("192.0.2.7", 4000), in6 = address_of("2001:db8::7", 4001),
		      mapped = address_of("::ffff:192.0.2.8", 4002), any = address_of("::", 0),
		      other = {.any.sa_family = AF_UNIX};
	uint8_t local[16];

	memset(local, 0xaa, sizeof(local));
	cr_assert_eq(destination_local(&in.any, local), 4000);
	expect_bytes(local, AF_INET, "192.0.2.7");
	cr_assert_eq(destination_local(&in6.any, local), 4001);
	expect_bytes(local, AF_INET6, "2001:db8::7");
	cr_assert_eq(destination_local(&mapped.any, local), 4002);
	expect_bytes(local, AF_INET, "192.0.2.8");
	cr_assert_eq(destination_local(&any.any, local), 0);
	expect_bytes(local, AF_INET6, "::");
	memset(local, 0xaa, sizeof(local));
	cr_assert_eq(destination_local(&other.any, local), 0);
	expect_bytes(local, AF_INET6, "::");
}

Test(uplinks, range)
{
	static const struct {
		struct policy_range wanted;
		bool some;
		uint16_t lo, hi;
	} cases[] = {
		{{0, 0}, true, 32768, 60999},         {{40000, 50000}, true, 40000, 50000},
		{{1024, 40000}, true, 32768, 40000},  {{50000, 65535}, true, 50000, 60999},
		{{1024, 65535}, true, 32768, 60999},  {{60999, 65535}, true, 60999, 60999},
		{{32768, 32768}, true, 32768, 32768}, {{1024, 32768}, true, 32768, 32768},
		{{1024, 32767}, false, 0, 0},         {{61000, 65535}, false, 0, 0},
	};
	static const struct local_ports local = {.lo = 32768, .hi = 60999};
	uint16_t lo, hi;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		bool some = uplinks_range(&local, &cases[i].wanted, &lo, &hi);

		cr_assert_eq(some, cases[i].some, "%zu", i);
		if (some)
			cr_assert(lo == cases[i].lo && hi == cases[i].hi, "%zu: %u-%u", i, lo, hi);
	}
}

static struct nic_set nics;
static struct uplinks now, later;

static void nic_fill(uint8_t key_byte)
{
	struct nic_view *view = &nics.view[0];
	uint8_t key[40];

	memset(key, key_byte, sizeof(key));
	key[1] = 0x5a;
	nics.count = 1;
	view->ifindex = 3;
	view->predictable[FLOW_IPV4] = true;
	arrival_fill(&view->arrival, key, sizeof(key), 128, 2, 2);
}

/* Trust is in what a NIC is said to do: it stays lost while that is the same, and is there at once
 * when it is another. */
Test(uplinks, trust_is_of_one_key)
{
	static const struct local_ports local = {.lo = 32768, .hi = 60999};

	nic_fill(1);
	uplinks_fill(&now, &nics, &local, local.lo, local.hi, NULL);
	cr_assert_eq(now.count, 1);
	cr_assert_not(trust_is_lost(&now.uplink[0].trust));
	trust_lose(&now.uplink[0].trust);
	uplinks_fill(&later, &nics, &local, local.lo, local.hi, &now);
	cr_assert(trust_is_lost(&later.uplink[0].trust));
	nic_fill(2);
	uplinks_fill(&later, &nics, &local, local.lo, local.hi, &now);
	cr_assert_not(trust_is_lost(&later.uplink[0].trust));
}

/* Positions of a walk are of the ports that are not reserved. */
Test(uplinks, reserved_ports_are_another_range)
{
	static struct local_ports local = {.lo = 32768, .hi = 60999};

	nic_fill(1);
	uplinks_fill(&now, &nics, &local, local.lo, local.hi, NULL);
	local.reserved[40000 / 64] = 1;
	uplinks_fill(&later, &nics, &local, local.lo, local.hi, &now);
	cr_assert_neq(now.uplink[0].range.fingerprint, later.uplink[0].range.fingerprint);
}

static enum trust_event note(struct trust *trust, unsigned count, bool right)
{
	enum trust_event event = TRUST_SAME;

	for (unsigned i = 0; i < count; i++) {
		cr_assert_eq(event, TRUST_SAME, "after %u of %u", i, count);
		event = trust_note(trust, right);
	}
	return event;
}

Test(trust, lost_with_the_eighth_wrong_one)
{
	struct trust trust = {0};

	cr_assert_eq(note(&trust, 7, false), TRUST_SAME);
	cr_assert_not(trust_is_lost(&trust));
	cr_assert_eq(note(&trust, 1, false), TRUST_LOST);
	cr_assert(trust_is_lost(&trust));
	/* Said once. */
	cr_assert_eq(note(&trust, 500, false), TRUST_SAME);
	cr_assert(trust_is_lost(&trust));
}

Test(trust, one_in_eight_is_borne)
{
	struct trust trust = {0};

	for (unsigned i = 0; i < 1000; i++) {
		cr_assert_eq(note(&trust, 7, true), TRUST_SAME);
		cr_assert_eq(note(&trust, 1, false), TRUST_SAME, "round %u", i);
	}
	cr_assert_not(trust_is_lost(&trust));
}

Test(trust, one_in_six_is_not)
{
	struct trust trust = {0};
	unsigned rounds = 0;

	while (note(&trust, 5, true) == TRUST_SAME && note(&trust, 1, false) == TRUST_SAME)
		cr_assert_lt(++rounds, 2 * TRUST_WINDOW);
	cr_assert(trust_is_lost(&trust));
}

Test(trust, a_long_past_does_not_outweigh_the_present)
{
	struct trust trust = {0};
	unsigned wrong = 1;

	cr_assert_eq(note(&trust, 100000, true), TRUST_SAME);
	cr_assert_leq(trust_samples(&trust), 4 * TRUST_WINDOW);
	while (trust_note(&trust, false) == TRUST_SAME)
		cr_assert_lt(++wrong, TRUST_WINDOW);
}

Test(trust, regained_by_a_window_without_a_wrong_one)
{
	struct trust trust = {0};

	cr_assert_eq(note(&trust, 8, false), TRUST_LOST);
	cr_assert_eq(note(&trust, TRUST_WINDOW - 1, true), TRUST_SAME);
	cr_assert_eq(note(&trust, 1, false), TRUST_SAME);
	cr_assert_eq(note(&trust, TRUST_WINDOW - 1, true), TRUST_SAME);
	cr_assert(trust_is_lost(&trust));
	cr_assert_eq(note(&trust, 1, true), TRUST_REGAINED);
	cr_assert_not(trust_is_lost(&trust));
	/* The past is forgotten: as much is needed as at first. */
	cr_assert_eq(note(&trust, 7, false), TRUST_SAME);
	cr_assert_eq(note(&trust, 1, false), TRUST_LOST);
}

Test(trust, how_often_to_look)
{
	struct trust trust = {0}, copy = {0};
	unsigned wary;

	cr_assert_eq(trust_interval(&trust), 1);
	note(&trust, TRUST_WINDOW - 1, true);
	cr_assert_eq(trust_interval(&trust), 1);
	note(&trust, 1, true);
	cr_assert_gt(trust_interval(&trust), 1);
	/* Something wrong: every one again. */
	note(&trust, 1, false);
	cr_assert_eq(trust_samples(&trust), TRUST_WINDOW + 1);
	cr_assert_eq(trust_wrong(&trust), 1);
	cr_assert_eq(trust_interval(&trust), 1);
	/* Until that is long ago. */
	for (wary = 0; trust_interval(&trust) == 1; wary++)
		cr_assert(trust_note(&trust, true) == TRUST_SAME && wary < 8 * TRUST_WINDOW);
	cr_assert_eq(trust_wrong(&trust), 0);

	while (trust_note(&trust, false) == TRUST_SAME)
		;
	cr_assert_gt(trust_interval(&trust), 1);
	trust_copy(&copy, &trust);
	cr_assert(trust_is_lost(&copy));
	trust_reset(&copy);
	cr_assert_not(trust_is_lost(&copy));
	cr_assert_eq(trust_interval(&copy), 1);
}

static struct route_cache cache;

static struct route_query query_number(unsigned number)
{
	struct route_query query = {.family = AF_INET, .remote = {192}};

	query.remote[1] = (uint8_t)(number >> 16);
	query.remote[2] = (uint8_t)(number >> 8);
	query.remote[3] = (uint8_t)number;
	return query;
}

static void keep(const struct route_query *query, uint32_t ifindex)
{
	struct route_answer answer = {.ifindex = ifindex, .local = {10, 1, 2, 3}};

	route_cache_keep(&cache, route_cache_generation(&cache), query, &answer);
}

/* The interface remembered; 0: none. */
static uint32_t found(const struct route_query *query)
{
	struct route_answer answer;

	return route_cache_find(&cache, query, &answer) ? answer.ifindex : 0;
}

Test(route_cache, whole_answers)
{
	static const struct route_answer answers[] = {
		{.ifindex = 3, .local = {10, 1, 2, 3}},
		{.ifindex = 1, .local = {10, 1, 2, 3}, .is_local = true},
		{.ifindex = UINT32_MAX, .local = {[0] = 0xfd, [15] = 9}},
		{.ifindex = 0},
		{.error = -EINVAL},
		{.error = -4095},
	};
	struct route_answer answer;

	route_cache_drop(&cache);
	for (unsigned i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
		struct route_query query = query_number(i);

		cr_assert_not(route_cache_find(&cache, &query, &answer));
		route_cache_keep(&cache, route_cache_generation(&cache), &query, &answers[i]);
		memset(&answer, 0xaa, sizeof(answer));
		cr_assert(route_cache_find(&cache, &query, &answer));
		cr_assert_eq(answer.ifindex, answers[i].ifindex);
		cr_assert_eq(answer.is_local, answers[i].is_local);
		cr_assert_eq(answer.error, answers[i].error);
		cr_assert_arr_eq(answer.local, answers[i].local, 16);
	}
}

Test(route_cache, every_part_of_the_question_counts)
{
	struct route_query query = query_number(1), other[7];

	for (unsigned i = 0; i < 7; i++)
		other[i] = query;
	route_cache_drop(&cache);
	keep(&query, 3);
	other[0].family = AF_INET6;
	other[1].remote[15] = 1;
	other[2].local[15] = 1;
	other[3].bound_to = 1;
	other[4].mark = 1;
	other[5].remote_port = 443;
	other[6].tos = 0x10;
	for (unsigned i = 0; i < 7; i++)
		cr_assert_eq(found(&other[i]), 0, "%u", i);
	for (unsigned i = 0; i < 7; i++)
		keep(&other[i], 10 + i);
	for (unsigned i = 0; i < 7; i++)
		cr_assert_eq(found(&other[i]), 10 + i);
	cr_assert_eq(found(&query), 3);
}

Test(route_cache, dropped)
{
	struct route_query query = query_number(1);
	struct route_answer answer = {.ifindex = 3};

	/* Places never written are no answer to a question of zeros either. */
	cr_assert_eq(found(&query), 0);
	keep(&query, 3);
	cr_assert_eq(found(&query), 0);

	route_cache_drop(&cache);
	uint32_t before = route_cache_generation(&cache);
	keep(&query, 3);
	cr_assert_eq(found(&query), 3);
	route_cache_drop(&cache);
	cr_assert_neq(route_cache_generation(&cache), before);
	cr_assert_eq(found(&query), 0);
	/* Asked before, told after: it may be about the routes of before. */
	route_cache_keep(&cache, before, &query, &answer);
	cr_assert_eq(found(&query), 0);
	keep(&query, 4);
	cr_assert_eq(found(&query), 4);
}

Test(route_cache, generation_never_zero)
{
	cache.generation = UINT32_MAX;
	route_cache_drop(&cache);
	cr_assert_neq(route_cache_generation(&cache), 0);
}

Test(route_cache, more_than_fit)
{
	unsigned kept = 0;

	route_cache_drop(&cache);
	for (unsigned i = 0; i < 8 * ROUTE_CACHE_PLACES; i++) {
		struct route_query query = query_number(i);

		keep(&query, i + 1);
		cr_assert_eq(found(&query), i + 1, "the latest is remembered");
	}
	for (unsigned i = 0; i < 8 * ROUTE_CACHE_PLACES; i++) {
		struct route_query query = query_number(i);
		uint32_t ifindex = found(&query);

		cr_assert(ifindex == 0 || ifindex == i + 1, "another one's answer");
		kept += ifindex != 0;
	}
	cr_assert_gt(kept, ROUTE_CACHE_PLACES * 9 / 10, "%u", kept);
}

Test(route_cache, half_written)
{
	struct route_query query = query_number(1);

	route_cache_drop(&cache);
	keep(&query, 3);
	for (unsigned i = 0; i < ROUTE_CACHE_PLACES; i++)
		cache.place[i].sequence = 7;
	cr_assert_eq(found(&query), 0, "read while it is written");
	keep(&query, 4);
	for (unsigned i = 0; i < ROUTE_CACHE_PLACES; i++) {
		cr_assert_eq(cache.place[i].sequence, 7, "written by two");
		cache.place[i].sequence = 8;
	}
	cr_assert_eq(found(&query), 3);
}

static bool range_parse(const char *text, uint16_t *lo, uint16_t *hi)
{
	return local_range_parse(text, strlen(text), lo, hi);
}

Test(local_ports, range)
{
	static const char *const wrong[] = {
		"",        "\n",         "32768",          "32768\t\n",       "0\t60999\n",
		"2\t1\n",  "1\t65536\n", "65536\t65536\n", "-1\t5\n",         "1-5\n",
		"1\t2\t3", "1\t2x",      "x1\t2",          "1\t4294967298\n", "99999999999\t5\n",
	};
	uint16_t lo, hi;

	cr_assert(range_parse("32768\t60999\n", &lo, &hi));
	cr_assert(lo == 32768 && hi == 60999);
	cr_assert(range_parse(" 1 65535", &lo, &hi));
	cr_assert(lo == 1 && hi == 65535);
	cr_assert(range_parse("5\t5\n", &lo, &hi));
	cr_assert(lo == 5 && hi == 5);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		cr_assert_not(range_parse(wrong[i], &lo, &hi), "%s", wrong[i]);
	/* No further than it is long. */
	cr_assert(local_range_parse("1\t25", 3, &lo, &hi));
	cr_assert(lo == 1 && hi == 2);
}

static struct local_ports reserved;

/* In pieces of that many bytes. Returns how many ports are reserved. */
static unsigned reserve(const char *text, size_t piece)
{
	struct reserved_parser parser = {.bits = reserved.reserved};
	size_t len = strlen(text);
	unsigned count = 0;

	memset(&reserved, 0, sizeof(reserved));
	for (size_t at = 0; at < len; at += piece)
		reserved_feed(&parser, text + at, len - at < piece ? len - at : piece);
	reserved_end(&parser);
	for (unsigned port = 0; port < 65536; port++)
		count += local_port_reserved(&reserved, (uint16_t)port);
	return count;
}

Test(local_ports, reserved)
{
	for (size_t piece = 1; piece < 30; piece++) {
		cr_assert_eq(reserve("8080,9148-9150,65535\n", piece), 5, "pieces of %zu", piece);
		cr_assert(local_port_reserved(&reserved, 8080));
		cr_assert(local_port_reserved(&reserved, 9148));
		cr_assert(local_port_reserved(&reserved, 9149));
		cr_assert(local_port_reserved(&reserved, 9150));
		cr_assert(local_port_reserved(&reserved, 65535));
		/* Where the file's end is the text's end. */
		cr_assert_eq(reserve("1,100-163", piece), 65);
		cr_assert_eq(reserve("0-65535\n", piece), 65536);
	}
}

Test(local_ports, fingerprint)
{
	uint64_t one, two;

	reserve("", 1);
	cr_assert_eq(local_ports_fingerprint(&reserved), 0);
	reserve("40000", 1);
	one = local_ports_fingerprint(&reserved);
	reserve("40064", 2);
	two = local_ports_fingerprint(&reserved);
	cr_assert(one && two && one != two);
	reserve("40000,40064", 3);
	cr_assert(local_ports_fingerprint(&reserved) != one &&
		  local_ports_fingerprint(&reserved) != two);
}

Test(local_ports, nothing_reserved)
{
	static const char *const texts[] = {
		"",        "\n",           ",",           "-", "-\n,-", "5-\n", "9-8\n",
		"65536\n", "4294967297\n", "70000-80000",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		cr_assert_eq(reserve(texts[i], 100), 0, "%s", texts[i]);
}

Test(hold, a_small_part_of_the_range)
{
	cr_assert_eq(hold_budget(28232, 2), 882);
	cr_assert_eq(hold_budget(28232, 64), 27);
	cr_assert_eq(hold_budget(100, 64), 1);
	cr_assert_eq(hold_budget(28232, 0), 1764);
}
