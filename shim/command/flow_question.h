/* What `hash`, `predict` and `ports` have in common: a flow, or many of them on standard input, and
 * the NIC it comes in by. */
#pragma once
#include "shim/decide/arrival.h"
#include "shim/decide/flow.h"

struct flow_question {
	const char *nic, *conf;     /* --nic, --conf; NULL: not given */
	const char *remote, *local; /* --remote, --local */
};

/* A verb's own option: *value becomes its argument, or its name where it takes none. */
struct flow_option {
	const char *name;
	bool has_argument;
	const char **value;
};

/* Reads the options. False, after the usage was said, where one is unknown or something else is
 * left over. */
bool flow_question_read(struct flow_question *question, const char *verb, int argc, char **argv,
			const struct flow_option *own, unsigned own_count);

/* Finds out how flows arrive at the NIC of a question. False where that cannot be; what is to be
 * said of it was said. */
bool flow_question_arrival(const struct flow_question *question, const char *verb,
			   struct arrival *arrival);

/* Answers each line "REMOTE LOCAL" of standard input until one is wrong: then answer() returns what
 * is. Returns the exit status. */
typedef const char *(*flow_answer_fn)(const void *context, const char *remote, const char *local);
int flow_lines(const char *verb, flow_answer_fn answer, const void *context);
