/* What the reader of the file and the reader of the environment share, inside policy_load(). */
#pragma once
#include "shim/policy/option.h"
#include <stdarg.h>

#define POLICY_LINE_MAX  900         /* bytes of a report: fits a log line behind its prefix */
#define POLICY_VALUE_MAX (24 * 1024) /* bytes of a value: a full indirection table takes 20 KB */

struct policy_load {
	struct policy *policy;
	const struct policy_source *source;
	policy_report_fn report;
	void *context;
	unsigned errors;
};

/* One option in one policy: where its value and origin are. */
struct policy_place {
	const struct policy_option *option; /* NULL: no such option */
	void *field;
	struct policy_origin *origin;
};

void policy_load_say(struct policy_load *load, enum log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

void policy_load_file(struct policy_load *load);
void policy_load_environment(struct policy_load *load);

/* The place of [section] key, or of a NIC's key. */
struct policy_place policy_place_of(struct policy *policy, enum policy_option_id id);
struct policy_place policy_nic_place_of(struct policy_nic *nic, enum policy_nic_option_id id);

/* The section of the NIC called name, made if there is none. NULL where there are too many, or no
 * NIC can have that name; *wrong then says which. */
struct policy_nic *policy_nic_make(struct policy *policy, const char *name, bool folded,
				   const char **wrong);

/* Upper case, '_' for all but letters and digits: how a variable's name spells a NIC's. */
char policy_fold(char c);
bool policy_nic_folds_to(const struct policy_nic *nic, const char *folded);
