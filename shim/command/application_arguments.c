/* How verbs are told which application they are about. */
#include "shim/command/application.h"
#include "shim/command/verbs.h"
#include <ctype.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

bool application_pid(const char *verb, const char *text, pid_t *pid)
{
	char *end;
	long number = strtol(text, &end, 10);

	*pid = (pid_t)number;
	if (isdigit((unsigned char)*text) && !*end && number > 0 && number <= INT_MAX)
		return true;
	fprintf(stderr, "rssshim %s: %s: not the number of a process (such as ps shows)\n", verb,
		text);
	return false;
}

bool application_arguments(const char *verb, int argc, char **argv, pid_t *pid, bool *json)
{
	struct option options[] = {{"json", no_argument, NULL, 'j'}, {0}};
	int option;

	while ((option = getopt_long(argc, argv, "", json ? options : options + 1, NULL)) != -1) {
		if (option != 'j') {
			verb_usage(verb);
			return false;
		}
		*json = true;
	}
	if (optind + 1 < argc) {
		verb_unexpected(verb, argv[optind + 1]);
		return false;
	}
	return optind == argc || application_pid(verb, argv[optind], pid);
}
