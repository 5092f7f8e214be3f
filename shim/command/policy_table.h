/* A policy as a table of key, value, and where that came from. */
#pragma once
#include "shim/policy/policy.h"

void policy_table_print(const struct policy *policy);
