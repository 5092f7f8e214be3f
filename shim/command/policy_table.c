#include "shim/command/policy_table.h"
#include "shim/policy/show.h"
#include <stdio.h>

static void print_entry(const struct policy_entry *entry, void *context)
{
	char name[64], value[64], origin[POLICY_PATH_MAX];

	(void)context;
	policy_show_name(entry, name, sizeof(name));
	policy_show_value(entry, value, sizeof(value));
	policy_show_origin(entry, origin, sizeof(origin));
	printf("  %-24s %-24s %s\n", name, value[0] ? value : "(empty)", origin);
}

void policy_table_print(const struct policy *policy)
{
	policy_visit(policy, print_entry, NULL);
}
