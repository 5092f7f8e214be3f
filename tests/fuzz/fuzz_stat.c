/* Statistics memory of any content: once checked, all of it can be shown. Input: pieces written
 * over a sound memory, each three bytes of place, one of length, and so many bytes; a length of 255
 * fills with the next byte up to 64 KB. */
#include "shim/command/heat.h"
#include "shim/command/policy_table.h"
#include "shim/command/report.h"
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILL     255
#define FILL_MAX 65536

static struct stat_memory memory, earlier;

static void begin(void)
{
	memset(&memory, 0, sizeof(memory));
	memory.magic = STAT_MAGIC;
	memory.abi = STAT_ABI;
	memory.size = sizeof(memory);
	memory.counters = STAT_COUNTERS;
	memory.every = STAT_LOOK_EVERY;
	policy_defaults(&memory.policy);
}

static void damage(const uint8_t *data, size_t size)
{
	while (size > 4) {
		size_t at = (size_t)(data[0] | data[1] << 8 | data[2] << 16) % sizeof(memory);
		size_t length = data[3], room = sizeof(memory) - at;

		data += 4;
		size -= 4;
		if (length == FILL) {
			memset((char *)&memory + at, data[0], room < FILL_MAX ? room : FILL_MAX);
			length = 1;
		} else {
			if (length > size)
				length = size;
			memcpy((char *)&memory + at, data, length < room ? length : room);
		}
		data += length;
		size -= length;
	}
}

static void show(void)
{
	static struct heat heat;
	static pid_t pids[] = {1, 2};
	struct heat_style style = {.width = 80, .color = true};
	struct application app = {.pids = pids, .count = 2, .root = INT_MAX, .copy = &memory};
	struct stat_totals totals;

	stat_sum(&totals, &memory);
	report_title(&app);
	report_counters(&totals);
	report_outcome("accepted", &app, STAT_ACCEPT);
	report_places(&memory);
	heat_load(&heat, &memory, STAT_CONNECT);
	heat_print(&heat, "made", &style);
	report_json(&app);
	policy_table_print(&memory.policy);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	if (!freopen("/dev/null", "w", stdout))
		abort();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	begin();
	memcpy(&earlier, &memory, sizeof(earlier));
	damage(data, size);
	if (stat_check(&memory, sizeof(memory)) == 0) {
		show();
		stat_since(&memory, &earlier);
		show();
	}
	return 0;
}
