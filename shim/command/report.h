/* What an application did, for the verbs stat, top and explain. */
#pragma once
#include "shim/command/application.h"

/* The first line: who it is, and whether it is steered. */
void report_title(const struct application *app);
/* A line for each counter that counted something, by section. */
void report_counters(const struct stat_totals *totals);
/* What the looks at arrivals say: in all, then by CPU and by interface. */
void report_outcome(const char *what, const struct application *app, enum stat_side side);
void report_places(const struct stat_memory *copy);

/* "99.8 %", "-" of nothing. Returns text. */
#define REPORT_SHARE_MAX 16
const char *report_share(uint64_t part, uint64_t total, char text[REPORT_SHARE_MAX]);

/* "0.0.0.0:80", "[::]:80" */
#define REPORT_ADDRESS_MAX 64
void report_address(const struct stat_listener *listener, char *out, size_t size);

/* JSON: a whole object, and members of one. */
void report_json(const struct application *app);
void report_json_title(const struct application *app);
void report_json_nics(const struct stat_memory *copy);
void report_json_listeners(const struct application *app);
