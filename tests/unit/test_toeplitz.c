/* The hash against the published vectors and against a bit-by-bit reference. */
#include "tests/unit/reference.h"
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct arrival nic;

static uint32_t hash_of(const struct flow *flow)
{
	uint32_t hash = 0;

	cr_assert(arrival_hash(&nic, flow, &hash));
	return hash;
}

Test(toeplitz, published_vectors)
{
	FILE *file = fopen("tests/unit/vectors/toeplitz_rss_suite.csv", "r");
	char family[8], dst[48], src[48], line[256];
	unsigned dst_port, src_port, addresses, all, seen = 0;

	cr_assert(file, "run from the top of the tree");
	arrival_fill(&nic, reference_microsoft_key, 40, 128, 4, 4);
	cr_assert(fgets(line, sizeof(line), file));
	while (fgets(line, sizeof(line), file)) {
		struct flow flow = {0};

		cr_assert_eq(sscanf(line, "%7[^,],%47[^,],%u,%47[^,],%u,%x,%x", family, dst,
				    &dst_port, src, &src_port, &addresses, &all),
			     7);
		flow.family = strcmp(family, "ipv6") ? AF_INET : AF_INET6;
		cr_assert_eq(inet_pton(flow.family, src, flow.remote), 1);
		cr_assert_eq(inet_pton(flow.family, dst, flow.local), 1);
		flow.remote_port = (uint16_t)src_port;
		flow.local_port = (uint16_t)dst_port;
		nic.hash.fields[0] = nic.hash.fields[1] = FIELDS_4_TUPLE;
		cr_expect_eq(hash_of(&flow), all, "%s", line);
		nic.hash.fields[0] = nic.hash.fields[1] = FIELDS_ADDRESSES;
		cr_expect_eq(hash_of(&flow), addresses, "%s", line);
		seen++;
	}
	fclose(file);
	cr_assert_eq(seen, 8);
}

Test(toeplitz, random_keys_transforms_fields)
{
	uint64_t state = 1;
	uint8_t key[RSS_KEY_MAX];

	for (unsigned round = 0; round < 2000; round++) {
		unsigned len = round % 2 ? 40 : 52;

		random_bytes(&state, key, len);
		arrival_fill(&nic, key, len, 128, 4, 4);
		nic.hash.transform = round / 2 % 3;
		nic.hash.fields[0] = round / 6 % 2;
		nic.hash.fields[1] = round / 12 % 2;
		nic.hash.initial = round % 5 ? 0 : UINT32_MAX;
		for (unsigned i = 0; i < 20; i++) {
			struct flow flow = random_flow(&state, i % 2 ? AF_INET : AF_INET6);

			cr_assert_eq(hash_of(&flow), reference_hash(&nic.hash, &flow),
				     "round %u flow %u", round, i);
		}
	}
}

/* The key sits at the very end of an allocation: a sanitizer build sees any read past it. */
Test(toeplitz, short_keys_are_unknown)
{
	struct flow ipv4 = {.family = AF_INET}, ipv6 = {.family = AF_INET6};
	uint32_t hash;

	for (unsigned len = 0; len <= RSS_KEY_MAX; len++) {
		uint8_t *key = malloc(len ? len : 1);

		memset(key, 0x5a, len);
		toeplitz_init(&nic.toeplitz, key, len);
		free(key);
		nic.hash.fields[0] = nic.hash.fields[1] = FIELDS_4_TUPLE;
		cr_expect_eq(arrival_hash(&nic, &ipv4, &hash), len >= 16, "%u", len);
		cr_expect_eq(arrival_hash(&nic, &ipv6, &hash), len >= 40, "%u", len);
		nic.hash.fields[0] = nic.hash.fields[1] = FIELDS_ADDRESSES;
		cr_expect_eq(arrival_hash(&nic, &ipv4, &hash), len >= 12, "%u", len);
		cr_expect_eq(arrival_hash(&nic, &ipv6, &hash), len >= 36, "%u", len);
		nic.hash.fields[0] = nic.hash.fields[1] = FIELDS_OTHER;
		cr_expect_not(arrival_hash(&nic, &ipv4, &hash));
	}
}

Test(toeplitz, unsealed_or_other_functions_are_unknown)
{
	struct flow flow = {.family = AF_INET};
	uint32_t hash;

	memset(&nic, 0, sizeof(nic));
	memset(nic.hash.key, 1, nic.hash.key_len = 40);
	nic.hash.function = HASH_TOEPLITZ;
	cr_expect_not(arrival_hash(&nic, &flow, &hash));
	arrival_seal(&nic);
	cr_expect(arrival_hash(&nic, &flow, &hash));
	nic.hash.function = HASH_CRC32;
	arrival_seal(&nic);
	cr_expect_not(arrival_hash(&nic, &flow, &hash));
}
