#include "shim/command/doctor.h"
#include "shim/kernel/procfs.h"
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool read_name(const char *path, char *name, int size)
{
	FILE *file = fopen(path, "r");
	bool any = file && fgets(name, size, file);

	if (file)
		fclose(file);
	if (any)
		name[strcspn(name, "\n")] = '\0';
	return any;
}

/* Whether the library is mapped into the process. */
static bool is_shimmed(const char *pid)
{
	char path[64];
	char line[512];
	bool mapped = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%.20s/maps", pid);
	file = fopen(path, "r");
	while (file && !mapped && fgets(line, sizeof(line), file))
		mapped = strstr(line, "/librssshim.so") != NULL;
	if (file)
		fclose(file);
	return mapped;
}

/* The only CPU that a thread may run on; -1: several. */
static int pinned_to(const char *tid)
{
	cpu_set_t may_run;

	if (sched_getaffinity(atoi(tid), sizeof(may_run), &may_run))
		return -1;
	return cpu_set_single(&may_run);
}

/* What is going over the threads of shimmed processes. */
struct round {
	struct doctor *doctor;
	const cpu_set_t *receiving;
	cpu_set_t homes; /* receiving CPUs that some thread is pinned to */
};

typedef bool (*thread_fn)(struct round *round, const char *pid, const char *tid);

/* Each thread, until told that it is enough. */
static void each_thread(struct round *round, const char *pid, thread_fn visit)
{
	char path[64];
	struct dirent *entry;
	DIR *threads;

	snprintf(path, sizeof(path), "/proc/%.20s/task", pid);
	threads = opendir(path);
	while (threads && (entry = readdir(threads)))
		if (isdigit((unsigned char)entry->d_name[0]) && !visit(round, pid, entry->d_name))
			break;
	if (threads)
		closedir(threads);
}

static bool note_home(struct round *round, const char *pid, const char *tid)
{
	int cpu = pinned_to(tid);

	(void)pid;
	if (cpu >= 0)
		CPU_SET(cpu, &round->homes);
	return true;
}

/* One that no thread is pinned to yet, if there is any: on several it would be at home nowhere. */
static int choose_home(struct round *round)
{
	cpu_set_t free;
	int cpu;

	CPU_XOR(&free, round->receiving, &round->homes);
	CPU_AND(&free, &free, round->receiving);
	cpu = cpu_set_next(&free, 0);
	if (cpu < 0)
		cpu = cpu_set_next(round->receiving, 0);
	CPU_SET(cpu, &round->homes);
	return cpu;
}

/* A thread pinned to a CPU that gets no packets is handed all its connections by others. */
static bool check_thread(struct round *round, const char *pid, const char *tid)
{
	int cpu = pinned_to(tid);
	char name[32] = "?";
	char what[320];
	char path[64];

	if (cpu < 0 || CPU_ISSET(cpu, round->receiving))
		return true;
	snprintf(path, sizeof(path), "/proc/%.20s/comm", pid);
	read_name(path, name, sizeof(name));
	snprintf(what, sizeof(what),
		 "%s (pid %.20s) is pinned to CPU %d, where no receive queue is served", name, pid,
		 cpu);
	doctor_finding(round->doctor, FINDING_WARNING, what);
	doctor_mend("taskset -pc %d %s", choose_home(round), tid);
	return false;
}

static void each_shimmed(struct round *round, thread_fn visit)
{
	DIR *processes = opendir("/proc");
	struct dirent *entry;

	while (processes && (entry = readdir(processes)))
		if (isdigit((unsigned char)entry->d_name[0]) && is_shimmed(entry->d_name))
			each_thread(round, entry->d_name, visit);
	if (processes)
		closedir(processes);
}

void doctor_processes(struct doctor *doctor, const cpu_set_t *receiving)
{
	struct round round = {.doctor = doctor, .receiving = receiving};
	DIR *processes = opendir("/proc");
	struct dirent *entry;

	while (processes && (entry = readdir(processes))) {
		char path[64];
		char name[32];

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%.20s/comm", entry->d_name);
		if (!read_name(path, name, sizeof(name)))
			continue;
		if (!strcmp(name, "irqbalance")) {
			doctor_finding(doctor, FINDING_WARNING,
				       "irqbalance moves receive queues between CPUs; what is open "
				       "then stays where it was");
			doctor_mend("systemctl disable --now irqbalance");
		}
	}
	if (processes)
		closedir(processes);
	if (!CPU_COUNT(receiving))
		return;
	each_shimmed(&round, note_home);
	each_shimmed(&round, check_thread);
}
