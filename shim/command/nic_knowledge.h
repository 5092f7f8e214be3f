/* What the verbs know about the NICs: the kernel's answers, and a policy on top. */
#pragma once
#include "shim/decide/arrival.h"
#include "shim/nic/nic_view.h"
#include "shim/nic/nic_work.h"
#include "shim/policy/policy.h"
#include <stddef.h>

struct nic_knowledge {
	struct policy policy;
	struct nic_set nics;
	struct nic_work work;
};

/* Loads the policy file conf_path (NULL: the one RSSSHIM_CONF names, else none) and the variables
 * of the environment, and looks at all interfaces; `detail` as in struct nic_sources. The memory is
 * the caller's, 1 MB. Returns 0, or -errno and a sentence in `why`. */
int nic_knowledge_load(struct nic_knowledge *known, const char *conf_path, bool detail, char *why,
		       size_t why_len);

/* An interface by name. One that does not exist may be described by its [nic] section alone: it
 * then takes the place of all others in `known`. NULL and a sentence in `why` when there is
 * neither. */
const struct nic_view *nic_knowledge_find(struct nic_knowledge *known, const char *dev, char *why,
					  size_t why_len);

/* The arrival of one interface, sealed; CPUs that are not known stay -1. Returns 0, and in `why` ""
 * or what speaks against choosing ports by it (it follows flows, one CPU serves all queues); or
 * -errno, and in `why` what is missing. */
int nic_arrival_load(const char *dev, const char *conf_path, struct arrival *out, char *why,
		     size_t why_len);
