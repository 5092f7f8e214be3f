/* What applications that run under the shim have learned of interfaces, for the verbs about those.
 */
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

/* One for each interface that anybody has learned of, or tries to. */
struct lessons {
	unsigned count;
	struct lesson_of *list;
};

/* Takes over, for each interface that nobody tells of, or tells the wrong thing, what the
 * application in this network namespace has learned that has seen the most of its connections. The
 * lessons are the caller's to free(list). */
void lessons_take(struct nic_set *set, struct lessons *lessons);

/* That of an interface, NULL where there is none. */
const struct lesson_of *lesson_find(const struct lessons *lessons, uint32_t ifindex);

/* The arrival of an interface that was learned; false where nobody did, or something else is known
 * of it. conf: a policy file, or NULL. */
bool lessons_arrival(const char *dev, const char *conf, struct arrival *out);
