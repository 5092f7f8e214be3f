/* rssshim off, rssshim on. */
#include "shim/command/application.h"
#include "shim/command/verbs.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A worker looks at the word each time it wakes up, and wakes up more often than that. */
#define IN_EFFECT_NS 500000000L

/* The head of the memory is the same in all versions: this works also where stat does not. */
static const char *set_word(const struct application *app, uint32_t off)
{
	uint32_t magic = 0;

	if (pread(app->memory, &magic, sizeof(magic), offsetof(struct stat_memory, magic)) !=
		    sizeof(magic) ||
	    magic != STAT_MAGIC)
		return "its memory of counters is damaged";
	if (pwrite(app->memory, &off, sizeof(off), offsetof(struct stat_memory, off)) !=
	    sizeof(off))
		return strerror(errno);
	return NULL;
}

static int turn(const char *verb, int argc, char **argv, uint32_t off)
{
	struct timespec in_effect = {.tv_nsec = IN_EFFECT_NS};
	struct application *app;
	char why[256];
	pid_t pid = 0;

	if (!application_arguments(verb, argc, argv, &pid, NULL))
		return 2;
	if (!pid)
		return verb_usage(verb);
	if (applications_find(pid, true, &app, why, sizeof(why)) < 0) {
		fprintf(stderr, "rssshim %s: %s\n", verb, why);
		return 1;
	}
	const char *wrong = set_word(app, off);
	if (wrong)
		fprintf(stderr, "rssshim %s: process %d: %s\n", verb, pid, wrong);
	else
		nanosleep(&in_effect, NULL);
	applications_free(app, 1);
	return wrong ? 1 : 0;
}

int verb_off(int argc, char **argv)
{
	return turn("off", argc, argv, 1);
}

int verb_on(int argc, char **argv)
{
	return turn("on", argc, argv, 0);
}
