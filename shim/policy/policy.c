#include "shim/policy/policy.h"
#include "shim/kernel/format.h"
#include "shim/policy/load.h"
#include <assert.h>
#include <string.h>

const struct policy_option policy_options[OPTION_COUNT] = {
#define OPTION(section_, key_, type, kind_, text_, lowest_, highest_, allowed_, help_) \
	[OPTION_##section_##_##key_] = {                                               \
		.section = #section_,                                                  \
		.key = #key_,                                                          \
		.kind = &policy_kind_##kind_,                                          \
		.offset = offsetof(struct policy, section_##_##key_),                  \
		.text = text_,                                                         \
		.lowest = lowest_,                                                     \
		.highest = highest_,                                                   \
		.allowed = allowed_,                                                   \
		.help = help_,                                                         \
	},
#include "shim/policy/options.def"
};

const struct policy_option policy_nic_options[NIC_OPTION_COUNT] = {
#define NIC_OPTION(key_, type, kind_, allowed_, help_)       \
	[NIC_OPTION_##key_] = {                              \
		.section = "nic",                            \
		.key = #key_,                                \
		.kind = &policy_kind_##kind_,                \
		.offset = offsetof(struct policy_nic, key_), \
		.text = "auto",                              \
		.allowed = allowed_,                         \
		.help = help_,                               \
	},
#include "shim/policy/options.def"
};

/* The readers write enums as int. */
static_assert(sizeof(enum policy_enabled) == sizeof(int), "enums are as wide as int");
static_assert(POLICY_CPU_MAX == CPU_SETSIZE, "cpu_set_t holds the CPUs we speak of");
static_assert(POLICY_POOL_MAX <= UINT16_MAX, "struct policy_list counts in 16 bits");

void policy_load_say(struct policy_load *load, enum log_level level, const char *format, ...)
{
	char line[POLICY_LINE_MAX];
	va_list args;

	if (level == LOG_LEVEL_ERROR)
		load->errors++;
	if (!load->report)
		return;
	va_start(args, format);
	format_text_v(line, sizeof(line), format, args);
	va_end(args);
	/* What is quoted comes from outside, and may end up on a terminal. */
	for (char *p = line; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	load->report(load->context, level, line);
}

struct policy_place policy_place_of(struct policy *policy, enum policy_option_id id)
{
	return (struct policy_place){
		.option = &policy_options[id],
		.field = (char *)policy + policy_options[id].offset,
		.origin = &policy->origin[id],
	};
}

struct policy_place policy_nic_place_of(struct policy_nic *nic, enum policy_nic_option_id id)
{
	return (struct policy_place){
		.option = &policy_nic_options[id],
		.field = (char *)nic + policy_nic_options[id].offset,
		.origin = &nic->origin[id],
	};
}

void policy_defaults(struct policy *policy)
{
	memset(policy, 0, sizeof(*policy));
	/* A NIC's default, auto, is zero in every field. */
	for (int id = 0; id < OPTION_COUNT; id++) {
		struct policy_place place = policy_place_of(policy, (enum policy_option_id)id);
		place.option->kind->read(place.option, policy, place.option->text, place.field);
	}
}

char policy_fold(char c)
{
	if (c >= 'a' && c <= 'z')
		return (char)(c - 'a' + 'A');
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ? c : '_';
}

bool policy_nic_folds_to(const struct policy_nic *nic, const char *folded)
{
	size_t i = 0;

	while (nic->name[i] && policy_fold(nic->name[i]) == folded[i])
		i++;
	return !nic->name[i] && !folded[i];
}

/* What dev_valid_name() of the kernel allows, without control characters. */
static const char *name_wrong(const char *name)
{
	if (!*name)
		return "a NIC without a name";
	if (strlen(name) >= sizeof(((struct policy_nic *)NULL)->name))
		return "a NIC's name has at most 15 characters";
	for (const char *p = name; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f || *p == '/' || *p == ':')
			return "no NIC can have that name";
	return NULL;
}

struct policy_nic *policy_nic_make(struct policy *policy, const char *name, bool folded,
				   const char **wrong)
{
	for (unsigned i = 0; i < policy->nic_count; i++)
		if (policy->nic[i].folded == folded && strcmp(policy->nic[i].name, name) == 0)
			return &policy->nic[i];
	*wrong = name_wrong(name);
	if (!*wrong && policy->nic_count == POLICY_NICS_MAX)
		*wrong = "more than 16 NICs";
	if (*wrong)
		return NULL;
	struct policy_nic *nic = &policy->nic[policy->nic_count++];
	strcpy(nic->name, name);
	nic->folded = folded;
	return nic;
}

const struct policy_nic *policy_nic(const struct policy *policy, const char *name)
{
	for (unsigned i = 0; i < policy->nic_count; i++)
		if (!policy->nic[i].folded && strcmp(policy->nic[i].name, name) == 0)
			return &policy->nic[i];
	struct policy_nic asked = {0};
	if (strlen(name) >= sizeof(asked.name))
		return NULL;
	strcpy(asked.name, name);
	for (unsigned i = 0; i < policy->nic_count; i++)
		if (policy->nic[i].folded && policy_nic_folds_to(&asked, policy->nic[i].name))
			return &policy->nic[i];
	return NULL;
}

bool policy_port_listed(const struct policy_ports *ports, uint16_t port)
{
	for (unsigned i = 0; i < ports->count; i++)
		if (port >= ports->range[i].low && port <= ports->range[i].high)
			return true;
	return ports->count == 0;
}
