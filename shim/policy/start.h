/* From a process's surroundings to its policy: which file, may it be used, what it holds. */
#pragma once
#include "shim/policy/policy.h"

#define POLICY_DIRECTORY "/etc/rssshim"

/* A file's contents, in memory of its own. */
struct policy_text {
	char *text;
	size_t size;
};

/* Reads a policy file of at most POLICY_FILE_MAX bytes. Raw system calls only: this runs while a
 * server is being loaded. Returns 0; or -errno and *wrong, a static text that says what is wrong
 * (-EPERM: a file that others could change, when only_trusted). */
int policy_text_read(const char *path, bool only_trusted, struct policy_text *text,
		     const char **wrong);
void policy_text_release(struct policy_text *text);

/* Start-up of the library: the file that RSSSHIM_CONF names, else POLICY_DIRECTORY/<program>.ini,
 * else POLICY_DIRECTORY/default.ini, then the environment. Opens the log as the policy says and
 * tells it what was wrong.
 *
 * A set-id program takes nothing from the environment. One that runs as root (or set-id) takes
 * nothing from a file that somebody other than root or itself owns or may write.
 *
 * program: as argv[0]; only what is behind the last '/' counts. environment: as environ, may be
 * NULL. With RSSSHIM_DISABLE set no file is looked at. */
void policy_start(struct policy *policy, char *const *environment, const char *program);
