#include "shim/command/flow_question.h"
#include "shim/command/flow_text.h"
#include "shim/command/verbs.h"
#include "shim/decide/arrival.h"
#include "shim/policy/policy.h"
#include <getopt.h>
#include <stdio.h>
#include <string.h>

struct hash_options {
	const char *key, *transform, *fields;
	const char *remote, *local;
};

static void print_error(void *context, enum log_level level, const char *line)
{
	const char *key = strstr(line, "] "); /* behind the place and the section */

	(void)context, (void)level;
	fprintf(stderr, "rssshim hash: %s\n", key ? key + 2 : line);
}

/* The options mean what the keys of a [nic] section mean, so that is what reads them. */
static bool read_options(struct arrival *a, const struct hash_options *options)
{
	static struct policy policy; /* 36 KB */
	char text[1024];
	int len = snprintf(text, sizeof(text),
			   "[nic hash]\nhash_key = %s\ntransform = %s\nfields = %s\n", options->key,
			   options->transform, options->fields);
	struct policy_source source = {.file = "option", .text = text, .size = (size_t)len};

	if (len >= (int)sizeof(text)) {
		fprintf(stderr, "rssshim hash: --key: longer than any key (16 to 52 bytes)\n");
		return false;
	}
	if (policy_load(&policy, &source, print_error, NULL))
		return false;

	const struct policy_nic *nic = policy_nic(&policy, "hash");

	if (!nic || nic->hash_key.len == 0) {
		fprintf(stderr, "rssshim hash: --key: 16 to 52 bytes such as 6d:5a:56:...\n");
		return false;
	}
	memset(a, 0, sizeof(*a));
	a->hash.function = HASH_TOEPLITZ;
	a->hash.key_len = nic->hash_key.len;
	memcpy(a->hash.key, nic->hash_key.byte, nic->hash_key.len);
	if (nic->transform == NIC_TRANSFORM_SYMMETRIC_XOR)
		a->hash.transform = TRANSFORM_SYMMETRIC_XOR;
	else if (nic->transform == NIC_TRANSFORM_SYMMETRIC_OR_XOR)
		a->hash.transform = TRANSFORM_SYMMETRIC_OR_XOR;
	if (nic->fields == NIC_FIELDS_ADDRESSES)
		a->hash.fields[FLOW_IPV4] = a->hash.fields[FLOW_IPV6] = FIELDS_ADDRESSES;
	arrival_seal(a);
	return true;
}

/* Returns NULL, or what is wrong. */
static const char *print_hash(const void *arrival, const char *remote, const char *local)
{
	const struct arrival *a = arrival;
	struct flow flow;
	const char *wrong = flow_parse(&flow, remote, local, true);
	uint32_t hash;

	if (wrong)
		return wrong;
	if (!arrival_hash(a, &flow, &hash))
		return "the key is too short for IPv6 (40 bytes, 36 for addresses alone)";
	printf("0x%08x\n", hash);
	return NULL;
}

int verb_hash(int argc, char **argv)
{
	static const struct option long_options[] = {{"key", required_argument, NULL, 'k'},
						     {"transform", required_argument, NULL, 't'},
						     {"fields", required_argument, NULL, 'f'},
						     {"remote", required_argument, NULL, 'r'},
						     {"local", required_argument, NULL, 'l'},
						     {0}};
	struct hash_options options = {.transform = "none", .fields = "4-tuple"};
	static struct arrival arrival;
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) >= 0) {
		if (option == 'k')
			options.key = optarg;
		else if (option == 't')
			options.transform = optarg;
		else if (option == 'f')
			options.fields = optarg;
		else if (option == 'r')
			options.remote = optarg;
		else if (option == 'l')
			options.local = optarg;
		else
			return verb_usage("hash");
	}
	if (optind < argc || !options.key || !options.remote != !options.local)
		return verb_usage("hash");
	if (!read_options(&arrival, &options))
		return 2;
	if (!options.remote)
		return flow_lines("hash", print_hash, &arrival);

	const char *wrong = print_hash(&arrival, options.remote, options.local);

	if (wrong)
		fprintf(stderr, "rssshim hash: %s\n", wrong);
	return wrong ? 2 : 0;
}
