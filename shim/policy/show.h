/* A policy as text: for `rssshim check --show`, `rssshim explain`, and the log at start-up. */
#pragma once
#include "shim/policy/option.h"

/* One option of one policy. */
struct policy_entry {
	const struct policy *policy;
	const struct policy_nic *nic; /* NULL: none of a NIC */
	const struct policy_option *option;
	const void *field;
	struct policy_origin origin;
};

/* Calls visit for every option, in the order of options.def, then of each NIC. */
void policy_visit(const struct policy *policy,
		  void (*visit)(const struct policy_entry *entry, void *context), void *context);

/* "listen.ports", "nic eth0.hash". */
void policy_show_name(const struct policy_entry *entry, char *out, size_t size);

/* The value, as a policy file would hold it. What does not fit ends in "...". */
void policy_show_value(const struct policy_entry *entry, char *out, size_t size);

/* "default", "FILE:LINE", or the variable's name. */
void policy_show_origin(const struct policy_entry *entry, char *out, size_t size);
