#include "shim/command/policy_table.h"
#include "shim/command/verbs.h"
#include "shim/policy/start.h"
#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

static void print_line(void *context, enum log_level level, const char *line)
{
	(void)context, (void)level;
	puts(line);
}

/* Returns the number of errors. */
static unsigned check_file(const char *path, bool show)
{
	static struct policy policy; /* 36 KB */
	struct policy_text text;
	const char *wrong;

	if (policy_text_read(path, false, &text, &wrong) < 0) {
		printf("%s: %s\n", path, wrong);
		return 1;
	}
	struct policy_source source = {.file = path, .text = text.text, .size = text.size};
	if (show)
		source.environment = environ;
	unsigned errors = policy_load(&policy, &source, print_line, NULL);
	policy_text_release(&text);
	if (policy_text_read(path, true, &text, &wrong) < 0)
		printf("%s: for a program that runs as root: %s\n", path, wrong);
	policy_text_release(&text);
	if (show)
		policy_table_print(&policy);
	return errors;
}

int verb_check(int argc, char **argv)
{
	static const struct option options[] = {{"show", no_argument, NULL, 's'}, {0}};
	unsigned errors = 0;
	bool show = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option != 's')
			return verb_usage("check");
		show = true;
	}
	if (optind == argc)
		return verb_usage("check");
	for (int i = optind; i < argc; i++)
		errors += check_file(argv[i], show);
	return errors ? 1 : 0;
}
