#include "shim/policy/load.h"
#include "shim/kernel/format.h"

unsigned policy_load(struct policy *policy, const struct policy_source *source,
		     policy_report_fn report, void *context)
{
	struct policy_load load = {
		.policy = policy,
		.source = source,
		.report = report,
		.context = context,
	};

	policy_defaults(policy);
	if (source->file) {
		format_text(policy->file.text, sizeof(policy->file.text), "%s", source->file);
		policy_load_file(&load);
	}
	if (source->environment)
		policy_load_environment(&load);
	return load.errors;
}
