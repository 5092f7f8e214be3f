#include "shim/command/threads.h"
#include "shim/connect/home.h"
#include "shim/stat/stat_policy.h"
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the thread counts as: its number and its process's in the name space it knows itself in.
 * "NSpid:" and "NStgid:" name the innermost one last. */
static uint64_t owner_of(const char *status)
{
	char line[256];
	unsigned process = 0, thread = 0;
	FILE *file = fopen(status, "r");

	while (file && fgets(line, sizeof(line), file)) {
		const char *last = strrchr(line, '\t');

		if (last && !strncmp(line, "NStgid:", 7))
			process = (unsigned)atoi(last);
		else if (last && !strncmp(line, "NSpid:", 6))
			thread = (unsigned)atoi(last);
	}
	if (file)
		fclose(file);
	return (uint64_t)process << 32 | thread;
}

static void add_counts(struct thread_facts *thread, const struct stat_memory *copy, uint64_t owner)
{
	for (int i = 0; i < STAT_BLOCKS_MAX; i++) {
		struct stat_totals counts;

		if (!owner || copy->block[i].owner != owner)
			continue;
		memcpy(counts.counter, copy->block[i].counter, sizeof(counts.counter));
		thread->accepted += stat_connections(&counts, STAT_ACCEPT);
		thread->made += stat_connections(&counts, STAT_CONNECT);
	}
}

static bool read_thread(struct thread_facts *thread, const struct stat_memory *copy)
{
	char path[96];
	FILE *file;

	if (sched_getaffinity(thread->tid, sizeof(thread->cpus), &thread->cpus) < 0)
		return false; /* it has ended */
	snprintf(path, sizeof(path), "/proc/%d/task/%d/comm", thread->pid, thread->tid);
	file = fopen(path, "r");
	if (file && fgets(thread->name, sizeof(thread->name), file))
		thread->name[strcspn(thread->name, "\n")] = '\0';
	if (file)
		fclose(file);
	stat_check_text(thread->name, sizeof(thread->name));
	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", thread->pid, thread->tid);
	add_counts(thread, copy, owner_of(path));
	thread->at_home = home_is_part(&thread->cpus, &copy->receiving);
	return true;
}

static void visit_process(const struct application *app, pid_t pid,
			  void (*visit)(const struct thread_facts *thread, void *context),
			  void *context)
{
	char path[64];
	struct dirent *entry;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	DIR *tasks = opendir(path);
	while (tasks && (entry = readdir(tasks))) {
		struct thread_facts thread = {.pid = pid, .tid = atoi(entry->d_name)};

		if (isdigit((unsigned char)entry->d_name[0]) && read_thread(&thread, app->copy))
			visit(&thread, context);
	}
	if (tasks)
		closedir(tasks);
}

void threads_visit(const struct application *app,
		   void (*visit)(const struct thread_facts *thread, void *context), void *context)
{
	for (size_t i = 0; i < app->count; i++)
		visit_process(app, app->pids[i], visit, context);
}
