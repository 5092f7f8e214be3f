#include "shim/command/nic.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void softirqs_read(struct softirqs *softirqs)
{
	FILE *file = fopen("/proc/softirqs", "r");
	static char line[CPU_SETSIZE * 12 + 64];

	memset(softirqs, 0, sizeof(*softirqs));
	while (file && fgets(line, sizeof(line), file)) {
		char *at = strstr(line, "NET_RX:");

		if (!at)
			continue;
		at += strlen("NET_RX:");
		for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
			char *end;
			uint64_t count = strtoull(at, &end, 10);

			if (end == at)
				break;
			softirqs->cpu[cpu] = count;
			softirqs->total += count;
			at = end;
		}
	}
	if (file)
		fclose(file);
}

unsigned table_is_equal(const struct rss_table *table)
{
	unsigned queues = 0;

	for (uint32_t i = 0; i < table->size; i++)
		if (table->queue[i] >= queues)
			queues = table->queue[i] + 1u;
	for (uint32_t i = 0; i < table->size; i++)
		if (table->queue[i] != i % queues)
			return 0;
	return queues;
}
