/* What applications under the shim have learned about interfaces, for the verbs about those. */
#pragma once
#include "shim/learn/notebook_read.h"
#include "shim/nic/nic_view.h"
#include <sys/types.h>

/* Who learned it. */
struct lesson_of {
	pid_t pid;
	char program[32];
	struct lesson lesson;
};

/* One for each interface that some application has learned, or tries to learn. */
struct lessons {
	unsigned count;
	struct lesson_of *list;
};

/* Takes over what was learned about each interface that reports nothing, or the wrong thing: of the
 * applications in this network namespace, from the one that has seen most of its connections. The
 * lessons are the caller's to free(list). */
void lessons_take(struct nic_set *set, struct lessons *lessons);

/* The lesson about an interface, NULL where there is none. */
const struct lesson_of *lesson_find(const struct lessons *lessons, uint32_t ifindex);

/* The arrival of an interface as it was learned; false where nobody has learned it, or it is known
 * otherwise. conf: a policy file, or NULL. */
bool lessons_arrival(const char *dev, const char *conf, struct arrival *out);
