/* Parts of stat_check(). */
#pragma once
#include "shim/policy/policy.h"

/* Ends the text within its size; what is not printable ASCII becomes '?'. */
void stat_check_text(char *text, size_t size);

/* Makes each value one that a policy file could have given, so that it can be shown. */
void stat_check_policy(struct policy *policy);
