#include "shim/command/launch.h"
#include "shim/command/verbs.h"
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIBRARY "librssshim.so"

/* As env(1) and nohup(1) do it, to be told from APP's own status. */
#define CANNOT_RUN 126
#define NOT_FOUND  127

/* Beside the command in a build tree, in ../lib where it is installed. */
static bool find_library(char library[PATH_MAX])
{
	static const char *const places[] = {"", "../lib/"};
	char self[PATH_MAX], candidate[PATH_MAX + 32];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (len < 0)
		return false;
	self[len] = '\0';
	strrchr(self, '/')[1] = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(candidate, sizeof(candidate), "%s%s" LIBRARY, self, places[i]);
		if (realpath(candidate, library))
			return true;
	}
	return false;
}

/* Before what is preloaded already: the first one's wrappers are the application's. */
static bool preload(const char *library)
{
	const char *others = getenv("LD_PRELOAD");
	char *value;

	if (others && strstr(others, library))
		return true;
	if (asprintf(&value, "%s%s%s", library, others && *others ? ":" : "",
		     others ? others : "") < 0)
		return false;
	bool done = setenv("LD_PRELOAD", value, 1) == 0;
	free(value);
	return done;
}

static int failed(int status, const char *what, const char *why)
{
	fprintf(stderr, "rssshim run: %s: %s\n", what, why);
	return status;
}

static int start(const char *conf, char **command)
{
	char library[PATH_MAX], program[PATH_MAX], policy[PATH_MAX], why[PATH_MAX + 256];

	if (!find_library(library))
		return failed(CANNOT_RUN, LIBRARY, "neither beside this command nor in ../lib");
	if (strpbrk(library, ": "))
		return failed(CANNOT_RUN, library,
			      "LD_PRELOAD cannot hold a path with a blank or a colon");
	if (conf && (!realpath(conf, policy) || access(policy, R_OK) != 0))
		return failed(CANNOT_RUN, conf, strerror(errno));
	if (!launch_find(command[0], program))
		return failed(errno == ENOENT ? NOT_FOUND : CANNOT_RUN, command[0],
			      strerror(errno));
	if (launch_examine(program, why, sizeof(why)) < 0) {
		fprintf(stderr, "rssshim run: %s\n", why);
		return CANNOT_RUN;
	}
	if ((conf && setenv("RSSSHIM_CONF", policy, 1) != 0) || !preload(library))
		return failed(CANNOT_RUN, command[0], strerror(errno));
	execv(program, command);
	return failed(CANNOT_RUN, program, strerror(errno));
}

int verb_run(int argc, char **argv)
{
	static const struct option options[] = {{"conf", required_argument, NULL, 'c'}, {0}};
	const char *conf = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		if (option != 'c')
			return verb_usage("run");
		conf = optarg;
	}
	if (optind == argc)
		return verb_usage("run");
	return start(conf, argv + optind);
}
