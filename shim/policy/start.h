/* Finds a process's policy: which file it is, whether it can be trusted, and what it holds. */
#pragma once
#include "shim/policy/policy.h"

#define POLICY_DIRECTORY "/etc/rssshim"

/* A file's contents, in memory of its own. */
struct policy_text {
	char *text;
	size_t size;
};

/* Reads a policy file of at most POLICY_FILE_MAX bytes, with raw system calls only, as this runs
 * while a server is being loaded. Returns 0; or -errno, and in *wrong a static text that says why
 * (-EPERM, if only_trusted: others could change the file). */
int policy_text_read(const char *path, bool only_trusted, struct policy_text *text,
		     const char **wrong);
void policy_text_release(struct policy_text *text);

/* Loads the library's policy: the file that RSSSHIM_CONF names, else
 * POLICY_DIRECTORY/<program>.ini, else POLICY_DIRECTORY/default.ini; then the environment. Opens
 * the log as the policy says and logs what was wrong.
 *
 * A set-id program takes nothing from the environment. One that runs as root (or set-id) refuses a
 * file that anybody but root or itself owns or can write.
 *
 * program: as argv[0]; only the part after the last '/' counts. environment: as environ, may be
 * NULL. With RSSSHIM_DISABLE set, no file is read. */
void policy_start(struct policy *policy, char *const *environment, const char *program);
