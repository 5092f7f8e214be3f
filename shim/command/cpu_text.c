#include "shim/command/nic.h"
#include <stdio.h>

char *cpu_set_text(const cpu_set_t *cpus, char *text, size_t size)
{
	size_t len = 0;

	text[0] = '\0';
	for (int cpu = 0; cpu < CPU_SETSIZE && len < size; cpu++) {
		int last = cpu;

		if (!CPU_ISSET(cpu, cpus))
			continue;
		while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, cpus))
			last++;
		len += (size_t)snprintf(text + len, size - len, last > cpu ? "%s%d-%d" : "%s%d",
					len ? "," : "", cpu, last);
		cpu = last;
	}
	return text;
}

char *cpu_mask_text(const cpu_set_t *cpus, char *text, size_t size)
{
	size_t len = 0;
	bool any = false;

	for (int word = CPU_SETSIZE / 32 - 1; word >= 0; word--) {
		uint32_t bits = 0;

		for (int bit = 0; bit < 32; bit++)
			bits |= (uint32_t)(CPU_ISSET(32 * word + bit, cpus) != 0) << bit;
		if (!bits && !any && word)
			continue;
		len += (size_t)snprintf(text + len, size - len, any ? ",%08x" : "%x", bits);
		any = true;
	}
	return text;
}
