#include "shim/command/flow_question.h"
#include "shim/command/flow_text.h"
#include "shim/command/json.h"
#include "shim/command/verbs.h"
#include <stdio.h>

static void print_json(const struct arrival_place *place)
{
	char hash[16];

	snprintf(hash, sizeof(hash), "0x%08x", place->hash);
	json_open(NULL, '{');
	if (place->hashed)
		json_string("hash", hash);
	else
		json_known("hash", -1);
	json_known("bucket", place->bucket);
	json_known("queue", place->queue);
	json_known("cpu", place->cpu);
	json_close('}');
	json_end();
}

static void print_number(const char *name, int value)
{
	if (value < 0)
		printf("%-6s unknown\n", name);
	else
		printf("%-6s %d\n", name, value);
}

static void print_text(const struct arrival_place *place)
{
	if (place->hashed)
		printf("%-6s 0x%08x\n", "hash", place->hash);
	else
		printf("%-6s unknown\n", "hash");
	print_number("bucket", place->bucket);
	print_number("queue", place->queue);
	print_number("cpu", place->cpu);
}

struct lines {
	const struct arrival *arrival;
	bool json;
};

/* One of many: the CPU alone. */
static const char *print_line(const void *context, const char *remote, const char *local)
{
	const struct lines *lines = context;
	struct flow flow;
	const char *wrong = flow_parse(&flow, remote, local, true);

	if (wrong)
		return wrong;
	struct arrival_place place = arrival_of(lines->arrival, &flow);
	if (lines->json)
		print_json(&place);
	else if (place.cpu < 0)
		puts("unknown");
	else
		printf("%d\n", place.cpu);
	return NULL;
}

int verb_predict(int argc, char **argv)
{
	const char *json = NULL;
	const struct flow_option own[] = {{"json", false, &json}};
	struct flow_question question;
	static struct arrival arrival;
	struct flow flow;

	if (!flow_question_read(&question, "predict", argc, argv, own, 1))
		return 2;
	if (!question.nic || !question.remote != !question.local)
		return verb_usage("predict");

	const char *wrong =
		question.remote ? flow_parse(&flow, question.remote, question.local, true) : NULL;

	if (wrong) {
		fprintf(stderr, "rssshim predict: %s\n", wrong);
		return 2;
	}
	if (!flow_question_arrival(&question, "predict", &arrival))
		return 1;
	if (!question.remote)
		return flow_lines("predict", print_line, &(struct lines){&arrival, json});

	struct arrival_place place = arrival_of(&arrival, &flow);

	if (json)
		print_json(&place);
	else
		print_text(&place);
	return place.cpu < 0 ? 1 : 0;
}
