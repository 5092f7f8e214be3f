#include "shim/command/verbs.h"
#include "shim/version.h"
#include <stdio.h>
#include <string.h>

struct verb {
	const char *name, *arguments, *help;
	int (*run)(int argc, char **argv);
};

static const struct verb verbs[] = {
#define VERB_ROW(name, arguments, help) {#name, arguments, help, verb_##name},
	VERBS(VERB_ROW)
#undef VERB_ROW
};

#define VERB_COUNT (sizeof(verbs) / sizeof(verbs[0]))

static const struct verb *find(const char *name)
{
	for (size_t i = 0; i < VERB_COUNT; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

static int print_verb(const struct verb *verb)
{
	printf("usage: rssshim %s %s\n\n%s\n\nMore in rssshim(1).\n", verb->name, verb->arguments,
	       verb->help);
	return 0;
}

static void print_help(FILE *out)
{
	fputs("usage: rssshim VERB ...\n\n"
	      "Keeps a server's TCP connections on the CPU where their packets arrive.\n\n",
	      out);
	for (size_t i = 0; i < VERB_COUNT; i++)
		fprintf(out, "  rssshim %s %s\n        %s\n", verbs[i].name, verbs[i].arguments,
			verbs[i].help);
	fputs("\nThe policy file is described in rssshim.ini(5), the command in rssshim(1).\n",
	      out);
}

int verb_usage(const char *verb)
{
	fprintf(stderr, "usage: rssshim %s %s\n", verb, find(verb)->arguments);
	return 2;
}

int verb_unexpected(const char *verb, const char *argument)
{
	fprintf(stderr, "rssshim %s: %s: not expected here\n", verb, argument);
	return verb_usage(verb);
}

static int run(const struct verb *verb, int argc, char **argv)
{
	static char name[64];

	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
		return print_verb(verb);
	/* getopt_long() complains in the name of argv[0]. */
	snprintf(name, sizeof(name), "rssshim %s", verb->name);
	argv[0] = name;
	return verb->run(argc, argv);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		print_help(stderr);
		return 2;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		print_help(stdout);
		return 0;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("rssshim " RSSSHIM_VERSION);
		return 0;
	}
	const struct verb *verb = find(argv[1]);
	if (!verb) {
		fprintf(stderr, "rssshim: no verb %s (", argv[1]);
		for (size_t i = 0; i < VERB_COUNT; i++)
			fprintf(stderr, "%s%s", i ? " | " : "", verbs[i].name);
		fputs("); rssshim --help describes them\n", stderr);
		return 2;
	}
	int status = run(verb, argc - 1, argv + 1);
	/* A full disk behind stdout is a failure too. */
	return fflush(stdout) == 0 || status ? status : 1;
}
