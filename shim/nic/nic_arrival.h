/* Where packets arrive at one interface, for the verbs of the command. */
#pragma once
#include "shim/decide/arrival.h"
#include <stddef.h>

/* Looks at all interfaces, since `dev` may stand on others, with the [nic] sections of the policy
 * file conf_path (NULL: none) and of the environment on top. An interface that does not exist may
 * be described by its section alone.
 *
 * Returns 0 with a sealed arrival, and in `why` "" or what speaks against choosing ports by it (it
 * follows flows, several queues share a CPU); or -errno and in `why` what is missing. CPUs that are
 * not known stay -1. Allocates: not for use inside a server. */
int nic_arrival_load(const char *dev, const char *conf_path, struct arrival *out, char *why,
		     size_t why_len);
