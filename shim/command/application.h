/* Applications under the shim: processes that share one memory of counters by inheritance. */
#pragma once
#include "shim/stat/stat_read.h"
#include <sys/types.h>

struct application {
	dev_t device;
	ino_t inode; /* of the memory: one application, one inode */
	int memory;  /* open for reading, or for writing too; see applications_find() */
	pid_t *pids; /* ascending */
	size_t count;
	pid_t root;               /* the process the others come from */
	struct stat_memory *copy; /* by application_read(), NULL before */
};

/* Finds the application of a process (0: all that this user may look into), each with all of its
 * processes. Returns how many, or -1 and a sentence in why. *list is the caller's to
 * applications_free(). */
int applications_find(pid_t pid, bool for_writing, struct application **list, char *why,
		      size_t size);
void applications_free(struct application *list, int count);
/* Out of a list, which can be freed then: the caller's to application_free(). */
struct application application_take(struct application *entry);
void application_free(struct application *app);
bool application_same(const struct application *a, const struct application *b);

/* Takes a fresh copy and checks it. Returns 0, or -1 and a sentence in why. */
int application_read(struct application *app, char *why, size_t size);

/* A process named by an argument. Returns false, with a complaint, where it is no number. */
bool application_pid(const char *verb, const char *text, pid_t *pid);
/* The arguments `[PID] [--json]`; json is NULL for a verb that has no --json. Returns false, with a
 * complaint, where there are others. *pid is left alone where none is named. */
bool application_arguments(const char *verb, int argc, char **argv, pid_t *pid, bool *json);

/* Another memory that its processes share, for reading: a descriptor, or -1 with errno. */
int application_open_other(const struct application *app, const char *name);

/* "steering", "off", "observing". */
const char *application_state(const struct application *app);
