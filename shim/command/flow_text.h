/* Flows as the command line writes them: 192.0.2.1:80, [2001:db8::1]:80. */
#pragma once
#include "shim/decide/flow.h"
#include <stdbool.h>

/* `remote` has a port; `local` has one unless local_port is false, and then must not. An
 * IPv4-mapped address is taken for IPv4. Returns NULL, or what is wrong and what is allowed, in
 * memory of its own that the next call reuses. */
const char *flow_parse(struct flow *flow, const char *remote, const char *local, bool local_port);
