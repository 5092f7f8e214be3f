/* Programs started without the library, with it switched off, and on. */
#include "tests/bench/wrappers/wrappers.h"
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>

#define STARTS     61
#define TEXT(x)    #x
#define TEXT_OF(x) TEXT(x)

enum state { WITHOUT, OFF, ON, STATES };

static char *const *environment_of(enum state state, const char *library)
{
	static char preload[4096];
	static char *environment[5];
	int count = 0;

	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", library);
	environment[count++] = "PATH=/usr/sbin:/usr/bin:/bin";
	environment[count++] = "RSSSHIM_LISTEN_PORTS=" TEXT_OF(STEERED_PORT);
	if (state != WITHOUT)
		environment[count++] = preload;
	if (state == OFF)
		environment[count++] = "RSSSHIM_DISABLE=1";
	environment[count] = NULL;
	return environment;
}

static pid_t start(char *const *command, enum state state, const char *library,
		   const posix_spawn_file_actions_t *actions)
{
	pid_t pid;

	if (posix_spawnp(&pid, command[0], actions, NULL, command, environment_of(state, library)))
		die(command[0]);
	return pid;
}

void calls_table(char *self, const char *library)
{
	char *const command[] = {self, "--calls", NULL};
	struct cost cost[STATES][ROWS_MAX] = {0};

	for (enum state state = OFF; state < STATES; state++) {
		posix_spawn_file_actions_t actions;
		int out[2];
		if (pipe2(out, O_CLOEXEC))
			die("pipe");
		posix_spawn_file_actions_init(&actions);
		posix_spawn_file_actions_adddup2(&actions, out[1], 1);
		start(command, state, library, &actions);
		close(out[1]);
		FILE *results = fdopen(out[0], "r");
		for (size_t i = 0; row_at(i); i++)
			if (fscanf(results, "%lf %lf %lf", &cost[state][i].bare,
				   &cost[state][i].shim, &cost[state][i].more) != 3)
				die("results");
		fclose(results);
		wait(NULL);
	}
	puts("ns a call                        bare  switched off  on, not steered   ratio");
	for (size_t i = 0; row_at(i); i++)
		printf("%-28s %8.0f  %+12.1f %+16.1f %7.2f\n", row_at(i)->name, cost[ON][i].bare,
		       cost[OFF][i].more, cost[ON][i].more, cost[ON][i].shim / cost[ON][i].bare);
}

void start_row(const char *what, char *const *command, const char *library)
{
	double took[STATES][STARTS], extra[STATES][STARTS];

	for (int i = 0; i < STARTS; i++) {
		for (enum state state = WITHOUT; state < STATES; state++) {
			double start_ns = now_ns();
			waitpid(start(command, state, library, NULL), NULL, 0);
			took[state][i] = (now_ns() - start_ns) / 1e6;
			extra[state][i] = took[state][i] - took[WITHOUT][i];
		}
	}
	double bare = median(took[WITHOUT], STARTS), more = median(extra[ON], STARTS);
	printf("%-28s %8.2f  %+12.2f %+16.2f %7.2f\n", what, bare, median(extra[OFF], STARTS), more,
	       (bare + more) / bare);
}

/* KB, of a process that waits after it said so. */
static void memory_of(char *const *command, enum state state, const char *library, double *pss,
		      double *dirty)
{
	posix_spawn_file_actions_t actions;
	char line[200], path[64], byte;
	int out[2];

	if (pipe2(out, O_CLOEXEC))
		die("pipe");
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, out[1], 1);
	pid_t pid = start(command, state, library, &actions);
	if (read(out[0], &byte, 1) != 1)
		die("the process says nothing");
	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	FILE *rollup = fopen(path, "r");
	while (rollup && fgets(line, sizeof(line), rollup)) {
		sscanf(line, "Pss: %lf", pss);
		sscanf(line, "Private_Dirty: %lf", dirty);
	}
	fclose(rollup);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(out[0]);
	close(out[1]);
}

void memory_row(const char *what, char *const *command, const char *library)
{
	double pss[STATES] = {0}, dirty[STATES] = {0};

	for (enum state state = WITHOUT; state < STATES; state++)
		memory_of(command, state, library, &pss[state], &dirty[state]);
	printf("%-28s %8.0f  %+12.0f %+16.0f %+16.0f\n", what, pss[WITHOUT],
	       pss[OFF] - pss[WITHOUT], pss[ON] - pss[WITHOUT], dirty[ON] - dirty[WITHOUT]);
}
