#include "shim/command/doctor.h"
#include "shim/command/nic.h"
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

/* A thread pinned to a CPU that gets no packets is handed all its connections by others. */
static void check_threads(struct doctor *doctor, const char *pid, const cpu_set_t *receiving)
{
	char path[64];
	struct dirent *entry;
	DIR *threads;

	snprintf(path, sizeof(path), "/proc/%.20s/task", pid);
	threads = opendir(path);
	while (threads && (entry = readdir(threads))) {
		char name[32] = "?";
		char cpus[256];
		char what[320];
		cpu_set_t may_run;
		int cpu = 0;

		if (!isdigit((unsigned char)entry->d_name[0]) ||
		    sched_getaffinity(atoi(entry->d_name), sizeof(may_run), &may_run) ||
		    CPU_COUNT(&may_run) != 1)
			continue;
		while (!CPU_ISSET(cpu, &may_run))
			cpu++;
		if (CPU_ISSET(cpu, receiving))
			continue;
		snprintf(path, sizeof(path), "/proc/%.20s/comm", pid);
		read_name(path, name, sizeof(name));
		snprintf(what, sizeof(what),
			 "%s (pid %.20s) is pinned to CPU %d, where no receive queue is served",
			 name, pid, cpu);
		doctor_finding(doctor, FINDING_WARNING, what);
		doctor_mend("taskset -pc %s %s", cpu_set_text(receiving, cpus, sizeof(cpus)),
			    entry->d_name);
		break;
	}
	if (threads)
		closedir(threads);
}

void doctor_processes(struct doctor *doctor, const cpu_set_t *receiving)
{
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
		if (CPU_COUNT(receiving) && is_shimmed(entry->d_name))
			check_threads(doctor, entry->d_name, receiving);
	}
	if (processes)
		closedir(processes);
}
