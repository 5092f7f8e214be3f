#include "shim/stat/stat_policy.h"
#include "shim/policy/option.h"
#include <string.h>

void stat_check_text(char *text, size_t size)
{
	text[size - 1] = '\0';
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

static unsigned words_in(const char *words)
{
	unsigned count = 1;

	while ((words = strstr(words, " | "))) {
		words += 3;
		count++;
	}
	return count;
}

static void check_list(struct policy_list *list)
{
	if (list->at > POLICY_POOL_MAX || list->count > POLICY_POOL_MAX - list->at)
		*list = (struct policy_list){0};
}

static void check_word(const struct policy_option *option, void *field)
{
	if (*(unsigned *)field >= words_in(option->allowed))
		*(unsigned *)field = 0;
}

static void check_yes_no(const struct policy_option *option, void *field)
{
	(void)option;
	/* As a byte: any other value is no bool at all. */
	*(unsigned char *)field = !!*(unsigned char *)field;
}

static void check_path(const struct policy_option *option, void *field)
{
	struct policy_path *path = field;

	(void)option;
	stat_check_text(path->text, sizeof(path->text));
}

static void check_ports(const struct policy_option *option, void *field)
{
	struct policy_ports *ports = field;

	(void)option;
	if (ports->count > POLICY_PORTS_MAX)
		ports->count = POLICY_PORTS_MAX;
}

static void check_cpus(const struct policy_option *option, void *field)
{
	struct policy_cpus *cpus = field;

	(void)option;
	if ((unsigned)cpus->kind > CPUS_LIST)
		cpus->kind = CPUS_OFF;
}

static void check_key(const struct policy_option *option, void *field)
{
	struct policy_key *key = field;

	(void)option;
	if (key->len > POLICY_KEY_MAX)
		key->len = POLICY_KEY_MAX;
}

static void check_values(const struct policy_option *option, void *field)
{
	(void)option;
	check_list(field);
}

static void check_table(const struct policy_option *option, void *field)
{
	struct policy_table *table = field;

	(void)option;
	check_list(&table->entry);
}

/* Numbers and ranges have no bad values. */
static const struct {
	const struct policy_kind *kind;
	void (*check)(const struct policy_option *option, void *field);
} checks[] = {
	{&policy_kind_word, check_word},   {&policy_kind_yes_no, check_yes_no},
	{&policy_kind_path, check_path},   {&policy_kind_ports, check_ports},
	{&policy_kind_cpus, check_cpus},   {&policy_kind_key, check_key},
	{&policy_kind_list, check_values}, {&policy_kind_table, check_table},
};

static void check_option(const struct policy_option *option, void *field,
			 struct policy_origin *origin)
{
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++)
		if (checks[i].kind == option->kind)
			checks[i].check(option, field);
	if ((unsigned)origin->kind > FROM_ENVIRONMENT)
		origin->kind = FROM_DEFAULT;
}

void stat_check_policy(struct policy *policy)
{
	for (int id = 0; id < OPTION_COUNT; id++)
		check_option(&policy_options[id], (char *)policy + policy_options[id].offset,
			     &policy->origin[id]);
	stat_check_text(policy->file.text, sizeof(policy->file.text));
	if (policy->nic_count > POLICY_NICS_MAX)
		policy->nic_count = POLICY_NICS_MAX;
	for (unsigned i = 0; i < POLICY_NICS_MAX; i++) {
		struct policy_nic *nic = &policy->nic[i];
		stat_check_text(nic->name, sizeof(nic->name));
		check_yes_no(NULL, &nic->folded);
		for (int id = 0; id < NIC_OPTION_COUNT; id++)
			check_option(&policy_nic_options[id],
				     (char *)nic + policy_nic_options[id].offset, &nic->origin[id]);
	}
	check_yes_no(NULL, &policy->disabled);
}
