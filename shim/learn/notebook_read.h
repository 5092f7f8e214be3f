/* Reading an application's notebook, which may be anything: for the command, and pure. */
#pragma once
#include "shim/learn/notebook.h"

/* What is told of one interface. */
struct lesson {
	uint32_t ifindex;
	char name[IF_NAMESIZE];
	uint64_t disproved; /* fingerprint of the reported arrival that proved wrong; 0: none */
	uint32_t seen, contradicted, forgotten;
	bool any; /* the rest is there */
	struct learned learned;
};

/* False for a page that is not in use. Whatever was in the copy: what is told is sound. */
bool notebook_tell(const struct notebook *copy, unsigned number, struct lesson *out);

/* Whether a copy of that many bytes is one of this version. */
bool notebook_is(const struct notebook *copy, size_t size);

/* "linear rule", "table of a reported key", "table of a published key", "nothing yet". */
const char *lesson_way(const struct lesson *lesson);

/* Of a family: "known", "spread by CPU, ports not known", "not known", or why it cannot be. */
const char *lesson_state(const struct lesson *lesson, enum flow_family family);
