/* The threads of an application, from /proc: where they may run, and what they counted. */
#pragma once
#include "shim/command/application.h"

struct thread_facts {
	pid_t pid, tid;
	char name[32]; /* printable ASCII */
	cpu_set_t cpus;
	bool at_home; /* on some of the CPUs that receive, but not on all */
	uint64_t accepted, made;
};

/* Calls visit for each thread, of a checked copy's application. */
void threads_visit(const struct application *app,
		   void (*visit)(const struct thread_facts *thread, void *context), void *context);
