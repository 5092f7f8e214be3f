/* options.def as a table, for code that walks all options: the loader, `rssshim options` and
 * `rssshim explain`. */
#pragma once
#include "shim/policy/policy.h"

struct policy_option;

/* How values of one sort are read. (How they are shown: show.c.) */
struct policy_kind {
	/* Stores what text says in field and returns NULL; or leaves field alone and returns what
	 * is wrong with it. Lists go to policy's pool. text has no blanks at either end. */
	const char *(*read)(const struct policy_option *option, struct policy *policy,
			    const char *text, void *field);
};

struct policy_option {
	const char *section; /* "nic" for all of policy_nic_options */
	const char *key;
	const struct policy_kind *kind;
	size_t offset;    /* of the field in struct policy or struct policy_nic */
	const char *text; /* the default */
	unsigned lowest, highest;
	const char *allowed;
	const char *help;
};

extern const struct policy_option policy_options[OPTION_COUNT];
extern const struct policy_option policy_nic_options[NIC_OPTION_COUNT];

extern const struct policy_kind policy_kind_word;
extern const struct policy_kind policy_kind_yes_no;
extern const struct policy_kind policy_kind_number;
extern const struct policy_kind policy_kind_number_or_off;
extern const struct policy_kind policy_kind_path;
extern const struct policy_kind policy_kind_range;
extern const struct policy_kind policy_kind_ports;
extern const struct policy_kind policy_kind_cpus;
extern const struct policy_kind policy_kind_key;
extern const struct policy_kind policy_kind_table;
extern const struct policy_kind policy_kind_list;
