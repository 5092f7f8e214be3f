#include "shim/command/flow_question.h"
#include "shim/command/lessons.h"
#include "shim/command/nic_knowledge.h"
#include "shim/command/verbs.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONS_MAX 16

bool flow_question_read(struct flow_question *question, const char *verb, int argc, char **argv,
			const struct flow_option *own, unsigned own_count)
{
	const struct flow_option common[] = {{"nic", true, &question->nic},
					     {"conf", true, &question->conf},
					     {"remote", true, &question->remote},
					     {"local", true, &question->local}};
	struct option options[OPTIONS_MAX + 1] = {0};
	const char **value[OPTIONS_MAX];
	unsigned shared = sizeof(common) / sizeof(common[0]);
	int at, option;

	*question = (struct flow_question){0};
	for (unsigned i = 0; i < shared + own_count && i < OPTIONS_MAX; i++) {
		const struct flow_option *one = i < shared ? &common[i] : &own[i - shared];

		options[i].name = one->name;
		options[i].has_arg = one->has_argument ? required_argument : no_argument;
		value[i] = one->value;
	}
	while ((option = getopt_long(argc, argv, "", options, &at)) == 0)
		*value[at] = optarg ? optarg : options[at].name;
	if (option < 0 && optind == argc)
		return true;
	if (option < 0)
		verb_unexpected(verb, argv[optind]);
	else
		verb_usage(verb);
	return false;
}

bool flow_question_arrival(const struct flow_question *question, const char *verb,
			   struct arrival *arrival)
{
	char why[512];

	if (lessons_arrival(question->nic, question->conf, arrival))
		return true;
	int error = nic_arrival_load(question->nic, question->conf, arrival, why, sizeof(why));

	if (*why)
		fprintf(stderr, "rssshim %s: %s\n", verb, why);
	return !error;
}

int flow_lines(const char *verb, flow_answer_fn answer, const void *context)
{
	static const char blank[] = " \t\r\n";
	const char *wrong = NULL;
	unsigned number = 0;
	char *line = NULL;
	size_t size = 0;

	while (!wrong && getline(&line, &size, stdin) >= 0) {
		char *rest = NULL;
		char *remote = strtok_r(line, blank, &rest);
		char *local = strtok_r(NULL, blank, &rest);

		number++;
		if (!remote)
			continue;
		wrong = local && !strtok_r(NULL, blank, &rest)
				? answer(context, remote, local)
				: "not a pair: REMOTE LOCAL, such as 192.0.2.1:80 192.0.2.2:3000";
	}
	free(line);
	if (wrong)
		fprintf(stderr, "rssshim %s: line %u: %s\n", verb, number, wrong);
	return wrong ? 1 : 0;
}
