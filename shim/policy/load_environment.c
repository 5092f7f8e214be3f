/* RSSSHIM_<SECTION>_<KEY> and RSSSHIM_NIC_<DEV>_<KEY>. */
#include "shim/policy/load.h"
#include <string.h>

#define PREFIX       "RSSSHIM_"
#define VARIABLE_MAX 128 /* of a variable, behind the prefix */

/* Whether name is "SECTION_KEY" of the option. */
static bool names_option(const char *name, const struct policy_option *option)
{
	const char *parts[] = {option->section, "_", option->key};

	for (size_t i = 0; i < 3; i++)
		for (const char *p = parts[i]; *p; p++)
			if (*name++ != policy_fold(*p))
				return false;
	return !*name;
}

/* The length of DEV where name is "NIC_DEV_KEY", 0 where it is not. */
static size_t names_nic_option(const char *name, const struct policy_option *option)
{
	size_t len = strlen(name), key = strlen(option->key);

	if (strncmp(name, "NIC_", 4) != 0 || len < 4 + 1 + 1 + key || name[len - key - 1] != '_')
		return 0;
	for (size_t i = 0; i < key; i++)
		if (name[len - key + i] != policy_fold(option->key[i]))
			return 0;
	return len - 4 - 1 - key;
}

static bool is_folded(const char *name)
{
	while (*name && policy_fold(*name) == *name)
		name++;
	return !*name;
}

/* A bad variable is as if it were not set: what the file says holds. */
static void set(struct policy_load *load, struct policy_place place, const char *name,
		const char *value)
{
	const char *wrong =
		place.option->kind->read(place.option, load->policy, value, place.field);

	if (wrong)
		policy_load_say(load, LOG_LEVEL_ERROR, PREFIX "%s=%.80s: %s (%s)", name, value,
				wrong, place.option->allowed);
	else
		*place.origin = (struct policy_origin){.kind = FROM_ENVIRONMENT};
}

/* "ETH0_1" means every NIC of the file whose name folds to it, such as eth0.1; where there is none,
 * whichever NIC of that name the host has. */
static void set_nic(struct policy_load *load, enum policy_nic_option_id id, const char *name,
		    const char *device, const char *value)
{
	struct policy *policy = load->policy;
	unsigned found = 0;

	for (unsigned i = 0; i < policy->nic_count; i++) {
		if (!policy_nic_folds_to(&policy->nic[i], device))
			continue;
		found++;
		set(load, policy_nic_place_of(&policy->nic[i], id), name, value);
	}
	if (found)
		return;
	const char *wrong = "the NIC's name is not in upper case, with _ for other characters";
	struct policy_nic *nic =
		is_folded(device) ? policy_nic_make(policy, device, true, &wrong) : NULL;
	if (nic)
		set(load, policy_nic_place_of(nic, id), name, value);
	else
		policy_load_say(load, LOG_LEVEL_ERROR, PREFIX "%s: %s (RSSSHIM_NIC_<NAME>_<KEY>)",
				name, wrong);
}

static void set_disable(struct policy_load *load, const char *value)
{
	if (!*value || strcmp(value, "0") == 0)
		return;
	/* Whoever sets it wants the shim out of the way: any other value means that. */
	load->policy->disabled = true;
	load->policy->shim_enabled = ENABLED_NO;
	load->policy->origin[OPTION_shim_enabled].kind = FROM_ENVIRONMENT;
}

static void take(struct policy_load *load, const char *name, const char *value)
{
	char device[VARIABLE_MAX];

	for (int id = 0; id < OPTION_COUNT; id++)
		if (names_option(name, &policy_options[id])) {
			set(load, policy_place_of(load->policy, (enum policy_option_id)id), name,
			    value);
			return;
		}
	for (int id = 0; id < NIC_OPTION_COUNT; id++) {
		size_t len = names_nic_option(name, &policy_nic_options[id]);
		if (!len)
			continue;
		memcpy(device, name + 4, len);
		device[len] = '\0';
		set_nic(load, (enum policy_nic_option_id)id, name, device, value);
		return;
	}
	/* CONF has been read by whoever found the file; INHERIT is how sets of listeners travel. */
	if (strcmp(name, "CONF") != 0 && strcmp(name, "DISABLE") != 0 &&
	    strcmp(name, "INHERIT") != 0)
		policy_load_say(load, LOG_LEVEL_ERROR,
				PREFIX "%s: unknown variable (RSSSHIM_CONF, RSSSHIM_DISABLE, "
				       "RSSSHIM_<SECTION>_<KEY>, RSSSHIM_NIC_<NAME>_<KEY>)",
				name);
}

static void trim(char *text)
{
	size_t start = strspn(text, " \t\r\n"), len = strlen(text + start);

	while (len && strchr(" \t\r\n", text[start + len - 1]))
		len--;
	memmove(text, text + start, len);
	text[len] = '\0';
}

void policy_load_environment(struct policy_load *load)
{
	char name[VARIABLE_MAX], value[POLICY_VALUE_MAX];

	for (char *const *entry = load->source->environment; *entry; entry++) {
		if (strncmp(*entry, PREFIX, strlen(PREFIX)) != 0)
			continue;
		const char *start = *entry + strlen(PREFIX), *equals = strchr(start, '=');
		if (!equals)
			continue;
		if ((size_t)(equals - start) >= sizeof(name) ||
		    strlen(equals + 1) >= sizeof(value)) {
			policy_load_say(load, LOG_LEVEL_ERROR, "%.80s: too long (%u bytes)", *entry,
					POLICY_VALUE_MAX);
			continue;
		}
		memcpy(name, start, (size_t)(equals - start));
		name[equals - start] = '\0';
		strcpy(value, equals + 1);
		trim(value);
		take(load, name, value);
	}
	/* Last, so that it holds against RSSSHIM_SHIM_ENABLED in whatever order they come. */
	for (char *const *entry = load->source->environment; *entry; entry++)
		if (strncmp(*entry, PREFIX "DISABLE=", strlen(PREFIX "DISABLE=")) == 0)
			set_disable(load, *entry + strlen(PREFIX "DISABLE="));
}
