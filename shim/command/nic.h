/* What the verbs nic and doctor show of an interface. */
#pragma once
#include "shim/command/lessons.h"
#include "shim/nic/nic_view.h"
#include <stdint.h>

/* Receive softirqs of each CPU since boot, from /proc/softirqs. */
struct softirqs {
	uint64_t total;
	uint64_t cpu[CPU_SETSIZE];
};

void softirqs_read(struct softirqs *softirqs);

/* "0-3,8" in at most size bytes. Returns text. */
char *cpu_set_text(const cpu_set_t *cpus, char *text, size_t size);

/* As the masks of /proc and /sys are written: a comma before every 32 bits but the first. */
char *cpu_mask_text(const cpu_set_t *cpus, char *text, size_t size);

/* N where the table is round robin over queues 0 to N - 1, else 0. */
unsigned table_is_equal(const struct rss_table *table);

/* lesson: what was learned of it, NULL where nobody did. */
void nic_print_table(const struct nic_view *view, const struct nic_set *set,
		     const struct softirqs *softirqs, const struct lesson_of *lesson);

/* An array of all views, or one object where only is not NULL. */
void nic_print_json(const struct nic_set *set, const struct nic_view *only,
		    const struct softirqs *softirqs, const struct lessons *lessons);
