/* Loads policies from strings and keeps what was reported. */
#pragma once
#include "shim/policy/policy.h"
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>

#define REPORTS_MAX 64

struct loaded {
	struct policy policy;
	unsigned errors; /* as returned */
	unsigned count;  /* lines reported */
	char line[REPORTS_MAX][1024];
	enum log_level level[REPORTS_MAX];
};

static void keep_report(void *context, enum log_level level, const char *line)
{
	struct loaded *loaded = context;

	cr_assert(loaded->count < REPORTS_MAX);
	loaded->level[loaded->count] = level;
	snprintf(loaded->line[loaded->count++], sizeof(loaded->line[0]), "%s", line);
}

/* size bytes of text as the file "p.ini", which may be NULL. environment as environ. */
static struct loaded *load_all(const char *text, size_t size, char *const *environment)
{
	static struct loaded loaded;
	struct policy_source source = {
		.file = text ? "p.ini" : NULL,
		.text = text,
		.size = size,
		.environment = environment,
	};

	/* What an earlier load left must not matter. */
	memset(&loaded.policy, 0xa5, sizeof(loaded.policy));
	loaded.count = 0;
	loaded.errors = policy_load(&loaded.policy, &source, keep_report, &loaded);
	unsigned errors = 0;
	for (unsigned i = 0; i < loaded.count; i++)
		errors += loaded.level[i] == LOG_LEVEL_ERROR;
	cr_expect(eq(u32, errors, loaded.errors), "every error is reported once");
	return &loaded;
}

static inline struct loaded *load_text(const char *text)
{
	return load_all(text, strlen(text), NULL);
}

static inline struct loaded *load_variable(const char *text, const char *variable)
{
	char *environment[] = {"HOME=/", (char *)variable, "PATH=/bin", NULL};

	return load_all(text, text ? strlen(text) : 0, environment);
}
