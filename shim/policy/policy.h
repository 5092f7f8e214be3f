/* The policy: what the operator asked for, from defaults, one ini file and the environment.
 *
 * A fixed-size value without pointers, so that it can be copied, shared over memory and compared.
 * Zeroed memory is a policy that does nothing (enabled = no). */
#pragma once
#include "shim/kernel/log.h"
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POLICY_PATH_MAX  LOG_PATH_MAX
#define POLICY_PORTS_MAX 64   /* ranges in a port list */
#define POLICY_CPU_MAX   1024 /* CPU numbers are below this: what cpu_set_t holds */
#define POLICY_QUEUE_MAX 1024 /* receive queues of a NIC */
#define POLICY_TABLE_MAX 4096 /* entries of an indirection table */
#define POLICY_KEY_MIN   16
#define POLICY_KEY_MAX   52
#define POLICY_NICS_MAX  16
#define POLICY_POOL_MAX  16384 /* list entries of all NICs together */
#define POLICY_FILE_MAX  (1024 * 1024)

/* In the order of the words in options.def. */
enum policy_enabled { ENABLED_NO, ENABLED_OBSERVE, ENABLED_YES };
enum policy_exhausted { EXHAUSTED_UNALIGNED, EXHAUSTED_FAIL };
enum policy_migrate { MIGRATE_OFF, MIGRATE_ACCEPT, MIGRATE_EPOLL };
/* For NICs, value 0 is auto: what the kernel reports holds. */
enum policy_hash { NIC_HASH_AUTO, NIC_HASH_TOEPLITZ, NIC_HASH_LEARN, NIC_HASH_NONE };
enum policy_transform {
	NIC_TRANSFORM_AUTO,
	NIC_TRANSFORM_NONE,
	NIC_TRANSFORM_SYMMETRIC_XOR,
	NIC_TRANSFORM_SYMMETRIC_OR_XOR
};
enum policy_fields { NIC_FIELDS_AUTO, NIC_FIELDS_4_TUPLE, NIC_FIELDS_ADDRESSES };

struct policy_path {
	char text[POLICY_PATH_MAX]; /* "": none */
};

struct policy_range {
	uint16_t low, high; /* both included; 0, 0: not set */
};

/* Ascending, neither overlapping nor adjacent. */
struct policy_ports {
	uint16_t count; /* 0: all ports */
	struct policy_range range[POLICY_PORTS_MAX];
};

enum policy_cpus_kind { CPUS_OFF, CPUS_AUTO, CPUS_LIST };

struct policy_cpus {
	enum policy_cpus_kind kind;
	cpu_set_t set; /* when a list; never empty then */
};

struct policy_key {
	uint8_t len; /* 0: auto */
	uint8_t byte[POLICY_KEY_MAX];
};

/* count values of struct policy's pool, from at on: see policy_values(). */
struct policy_list {
	uint16_t at, count; /* count 0: auto */
};

struct policy_table {
	uint16_t equal;           /* N of "equal N"; 0: not that */
	struct policy_list entry; /* the table itself, queue numbers */
};

enum policy_origin_kind { FROM_DEFAULT, FROM_FILE, FROM_ENVIRONMENT };

struct policy_origin {
	enum policy_origin_kind kind;
	uint32_t line; /* of policy.file, when from it */
};

enum policy_option_id {
#define OPTION(section, key, ...) OPTION_##section##_##key,
#include "shim/policy/options.def"
	OPTION_COUNT
};

enum policy_nic_option_id {
#define NIC_OPTION(key, ...) NIC_OPTION_##key,
#include "shim/policy/options.def"
	NIC_OPTION_COUNT
};

/* One [nic NAME] section, or what the environment says about that NIC. */
struct policy_nic {
	char name[16]; /* IFNAMSIZ. Compare with policy_nic(): a name may come from a variable */
	bool folded;   /* from a variable alone: upper case, '_' for all but letters and digits */
#define NIC_OPTION(key, type, ...) type key;
#include "shim/policy/options.def"
	struct policy_origin origin[NIC_OPTION_COUNT];
};

/* Options are fields named section_key: policy->listen_steer. */
struct policy {
#define OPTION(section, key, type, ...) type section##_##key;
#include "shim/policy/options.def"
	struct policy_origin origin[OPTION_COUNT];
	bool disabled;           /* RSSSHIM_DISABLE: enabled = no, whatever the file says */
	struct policy_path file; /* where the values of origin FROM_FILE stand */
	unsigned nic_count;
	struct policy_nic nic[POLICY_NICS_MAX];
	unsigned pool_used;
	uint16_t pool[POLICY_POOL_MAX];
};

/* What to load. */
struct policy_source {
	const char *file; /* name for messages; NULL: no file */
	const char *text; /* its contents, size bytes, not terminated */
	size_t size;
	char *const *environment; /* as environ; NULL: take nothing from there (set-id programs) */
};

/* level: LOG_LEVEL_ERROR for what `rssshim check` calls an error, LOG_LEVEL_WARN otherwise.
 * line has neither prefix nor newline and is gone after the call. */
typedef void (*policy_report_fn)(void *context, enum log_level level, const char *line);

void policy_defaults(struct policy *policy);

/* Defaults, then the file, then the environment. Pure: no kernel, no allocation, about 40 KB of
 * stack. Each error is one report, `FILE:LINE: what is wrong (what is allowed)` or the variable's
 * name in place of FILE:LINE; the key keeps its default (a bad variable: the file's value).
 * A key given twice is a warning and the last one holds. report may be NULL.
 * Returns the number of errors. */
unsigned policy_load(struct policy *policy, const struct policy_source *source,
		     policy_report_fn report, void *context);

/* The [nic] section for a NIC, NULL if there is none. */
const struct policy_nic *policy_nic(const struct policy *policy, const char *name);

/* The values of a list, list->count of them. */
static inline const uint16_t *policy_values(const struct policy *policy,
					    const struct policy_list *list)
{
	return policy->pool + list->at;
}

/* Whether a listening port is steered. */
bool policy_port_listed(const struct policy_ports *ports, uint16_t port);
