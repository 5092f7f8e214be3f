#include "shim/command/verbs.h"
#include "shim/policy/start.h"
#include <stdio.h>
#include <string.h>

static void print_line(void *context, enum log_level level, const char *line)
{
	(void)context, (void)level;
	puts(line);
}

/* Returns the number of errors. */
static unsigned check_file(const char *path)
{
	static struct policy policy; /* 36 KB */
	struct policy_text text;
	const char *wrong;

	if (policy_text_read(path, false, &text, &wrong) < 0) {
		printf("%s: %s\n", path, wrong);
		return 1;
	}
	struct policy_source source = {.file = path, .text = text.text, .size = text.size};
	unsigned errors = policy_load(&policy, &source, print_line, NULL);
	policy_text_release(&text);
	if (policy_text_read(path, true, &text, &wrong) < 0)
		printf("%s: for a program that runs as root: %s\n", path, wrong);
	policy_text_release(&text);
	return errors;
}

int verb_check(int argc, char **argv)
{
	unsigned errors = 0;

	if (argc < 2 || (argv[1][0] == '-' && strcmp(argv[1], "--") != 0))
		return verb_usage("check");
	for (int i = strcmp(argv[1], "--") == 0 ? 2 : 1; i < argc; i++)
		errors += check_file(argv[i]);
	return errors ? 1 : 0;
}
