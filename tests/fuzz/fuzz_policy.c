/* Policy files and environments of any content. Input: the file, a byte 1, then variables separated
 * by NUL bytes. */
#include "shim/policy/policy.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define VARIABLES_MAX 32

struct seen {
	unsigned errors, lines;
};

static void require(int holds)
{
	if (!holds)
		abort();
}

static void look_at_line(void *context, enum log_level level, const char *line)
{
	struct seen *seen = context;

	seen->lines++;
	seen->errors += level == LOG_LEVEL_ERROR;
	require(line[0] && strlen(line) < LOG_LINE_MAX);
	for (; *line; line++)
		require((unsigned char)*line >= ' ' && *line != 0x7f);
}

static void look_at_list(const struct policy *policy, const struct policy_list *list, unsigned most)
{
	require(list->count <= most);
	require((unsigned)list->at + list->count <= policy->pool_used);
	for (unsigned i = 0; i < list->count; i++)
		require(policy_values(policy, list)[i] < 1024);
}

static void look_at_policy(const struct policy *p)
{
	require(p->shim_enabled <= ENABLED_YES && p->shim_log <= LOG_LEVEL_DEBUG);
	require(p->connect_exhausted <= EXHAUSTED_FAIL && p->migrate_mode <= MIGRATE_EPOLL);
	require(p->listen_members >= 1 && p->listen_members <= 1024);
	require(p->connect_tries >= 1 && p->connect_tries <= 1024);
	require(p->balance_steal <= 1000);
	require(p->connect_range.low <= p->connect_range.high);
	require(memchr(p->shim_log_file.text, '\0', sizeof(p->shim_log_file.text)) != NULL);
	require(p->listen_ports.count <= POLICY_PORTS_MAX);
	for (unsigned i = 0; i < p->listen_ports.count; i++) {
		const struct policy_range *range = &p->listen_ports.range[i];
		require(range->low >= 1 && range->low <= range->high);
		require(i == 0 || range[-1].high + 1 < range->low);
	}
	require(p->listen_buckets.kind != CPUS_LIST || CPU_COUNT(&p->listen_buckets.set) > 0);
	require(p->threads_pin.kind != CPUS_LIST || CPU_COUNT(&p->threads_pin.set) > 0);
	require(p->nic_count <= POLICY_NICS_MAX && p->pool_used <= POLICY_POOL_MAX);
	for (unsigned i = 0; i < p->nic_count; i++) {
		const struct policy_nic *nic = &p->nic[i];
		require(nic->name[0] && memchr(nic->name, '\0', sizeof(nic->name)));
		require(nic->hash <= NIC_HASH_NONE && nic->fields <= NIC_FIELDS_ADDRESSES &&
			nic->transform <= NIC_TRANSFORM_SYMMETRIC_OR_XOR);
		require(nic->hash_key.len == 0 || (nic->hash_key.len >= POLICY_KEY_MIN &&
						   nic->hash_key.len <= POLICY_KEY_MAX));
		require(nic->indirection.equal <= POLICY_QUEUE_MAX);
		look_at_list(p, &nic->indirection.entry, POLICY_TABLE_MAX);
		look_at_list(p, &nic->queue_cpus, POLICY_QUEUE_MAX);
		require(policy_nic(p, nic->name) != NULL);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct policy policy, again;
	char *environment[VARIABLES_MAX + 1] = {NULL};
	const uint8_t *split = memchr(data, 1, size);
	size_t file = split ? (size_t)(split - data) : size, rest = split ? size - file - 1 : 0;
	/* Copies of exactly their size: a byte too far is seen. */
	char *text = malloc(file), *variables = malloc(rest + 1);
	struct seen seen = {0};

	memcpy(text, data, file);
	if (rest)
		memcpy(variables, split + 1, rest);
	variables[rest] = '\0';
	char *at = variables;
	for (int i = 0; rest && i < VARIABLES_MAX && at <= variables + rest; i++) {
		environment[i] = at;
		at += strlen(at) + 1;
	}
	struct policy_source source = {"f", text, file, environment};
	require(policy_load(&policy, &source, look_at_line, &seen) == seen.errors);
	look_at_policy(&policy);
	require(policy_load(&again, &source, NULL, NULL) == seen.errors);
	require(memcmp(&policy, &again, offsetof(struct policy, pool)) == 0);
	free(text);
	free(variables);
	return 0;
}
