#include "shim/command/heat.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LABEL_WIDTH 10
#define CELL_WIDTH  6
#define SHADES      5

/* What of a table is worth showing. */
struct extent {
	uint16_t row[STAT_ROWS], column[STAT_COLUMNS];
	unsigned rows, columns;
	uint64_t total, highest;
};

void heat_load(struct heat *heat, const struct stat_memory *copy, enum stat_side side)
{
	for (unsigned r = 0; r < STAT_ROWS; r++)
		for (unsigned c = 0; c < STAT_COLUMNS; c++)
			heat->cell[r][c] = copy->table[side][r].arrived[c];
}

static void measure(struct extent *extent, const struct heat *heat)
{
	bool used[STAT_COLUMNS] = {0};

	*extent = (struct extent){0};
	for (unsigned r = 0; r < STAT_ROWS; r++) {
		bool any = false;
		for (unsigned c = 0; c < STAT_COLUMNS; c++) {
			uint64_t count = heat->cell[r][c];
			any |= count;
			used[c] |= count;
			extent->total += count;
			if (count > extent->highest)
				extent->highest = count;
		}
		if (any)
			extent->row[extent->rows++] = (uint16_t)r;
	}
	for (unsigned c = 0; c < STAT_COLUMNS; c++)
		if (used[c])
			extent->column[extent->columns++] = (uint16_t)c;
}

static void print_label(unsigned place, int width)
{
	if (place == STAT_UNPINNED)
		printf("%*s", width, "unpinned");
	else if (place == STAT_BEYOND)
		printf("%*s", width, "more");
	else
		printf("%*u", width, place);
}

/* 0 for nothing, 1 to SHADES - 1 from cold to hot. */
static unsigned shade_of(uint64_t count, uint64_t highest)
{
	if (!count)
		return 0;
	unsigned shade = 1 + (unsigned)((double)(count - 1) * (SHADES - 1) / (double)highest);
	return shade < SHADES ? shade : SHADES - 1; /* of huge numbers the division is inexact */
}

static void print_cell(uint64_t count, const struct extent *extent, int width)
{
	char text[16];
	double percent = 100 * (double)count / (double)extent->total;

	if (width == 1)
		printf("%c", " .+*#"[shade_of(count, extent->highest)]);
	else if (!count)
		printf("%*s", width, ".");
	else {
		snprintf(text, sizeof(text), percent < 0.05 ? "<.1%%" : "%.1f%%", percent);
		printf("%*s", width, text);
	}
}

/* Backgrounds of the 256 colors: green where it is aligned, red where it is not, else blue. */
static void print_color(const struct extent *extent, unsigned row, unsigned column, uint64_t count)
{
	static const uint8_t color[3][SHADES] = {
		{0, 52, 88, 124, 160}, {0, 22, 28, 34, 40}, {0, 17, 18, 19, 20}};
	unsigned kind = row == STAT_UNPINNED ? 2 : row == column && row != STAT_BEYOND;

	printf("\033[48;5;%u;97m", color[kind][shade_of(count, extent->highest)]);
}

static void print_row(const struct heat *heat, const struct extent *extent, unsigned row,
		      unsigned columns, int width, bool color)
{
	print_label(row, LABEL_WIDTH);
	printf("  ");
	for (unsigned c = 0; c < columns; c++) {
		uint64_t count = heat->cell[row][extent->column[c]];
		if (color && count)
			print_color(extent, row, extent->column[c], count);
		print_cell(count, extent, width);
		if (color && count)
			printf("\033[0m");
	}
	putchar('\n');
}

void heat_print(const struct heat *heat, const char *title, const struct heat_style *style)
{
	struct extent extent;

	measure(&extent, heat);
	if (!extent.total)
		return;
	unsigned room = style->width > LABEL_WIDTH + 3 ? style->width - LABEL_WIDTH - 2 : 1;
	unsigned columns = extent.columns;
	int width = columns * CELL_WIDTH <= room ? CELL_WIDTH : 1;
	if (columns > room)
		columns = room;
	printf("%s, %" PRIu64 " looked at: thread at home on CPU (row), packets on CPU (column)\n",
	       title, extent.total);
	printf("%*s  ", LABEL_WIDTH, "");
	if (width == 1) {
		print_label(extent.column[0], 0);
		printf(" to ");
		print_label(extent.column[columns - 1], 0);
		if (columns < extent.columns)
			printf(", %u more do not fit", extent.columns - columns);
	}
	for (unsigned c = 0; width > 1 && c < columns; c++)
		print_label(extent.column[c], width);
	putchar('\n');
	for (unsigned r = 0; r < extent.rows; r++)
		print_row(heat, &extent, extent.row[r], columns, width, style->color);
}
