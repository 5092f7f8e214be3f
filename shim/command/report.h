/* What an application did, for stat and top. */
#pragma once
#include "shim/command/application.h"

/* The first line: who it is, and whether it is steered. */
void report_title(const struct application *app);
/* A line for each section of the counters in which something was counted. */
void report_counters(const struct application *app, const struct stat_totals *totals);
/* What the looks at arrivals say. */
void report_outcome(const char *what, const struct application *app, enum stat_side side);
void report_json(const struct application *app);

/* "0.0.0.0:80", "[::]:80" */
#define REPORT_ADDRESS_MAX 64
void report_address(const struct stat_listener *listener, char *out, size_t size);
