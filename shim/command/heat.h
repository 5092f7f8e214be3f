/* The table of arrivals as a heat map: a row for each CPU that threads are at home on, a column for
 * each CPU that packets arrive on. What is on the diagonal is aligned. */
#pragma once
#include "shim/stat/stat_memory.h"
#include <stdbool.h>

struct heat {
	uint64_t cell[STAT_ROWS][STAT_COLUMNS];
};

struct heat_style {
	bool color;
	unsigned width; /* columns of the terminal */
};

void heat_load(struct heat *heat, const struct stat_memory *copy, enum stat_side side);
/* Prints nothing where nothing arrived. */
void heat_print(const struct heat *heat, const char *title, const struct heat_style *style);
