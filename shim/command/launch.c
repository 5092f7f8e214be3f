#include "shim/command/launch.h"
#include "shim/process/program.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct examination {
	const char *path; /* of the program looked at, the interpreter for a script */
	char *why;
	size_t why_size;
};

#define refuse(exam, format, ...) \
	(snprintf((exam)->why, (exam)->why_size, "%s " format, (exam)->path, ##__VA_ARGS__), -1)

bool launch_find(const char *name, char path[PATH_MAX])
{
	const char *search = getenv("PATH");

	if (strchr(name, '/')) {
		snprintf(path, PATH_MAX, "%s", name);
		return access(path, X_OK) == 0;
	}
	for (search = search ? search : "/usr/local/bin:/bin:/usr/bin"; *name;) {
		size_t len = strcspn(search, ":");
		struct stat st;
		int used = snprintf(path, PATH_MAX, "%.*s/%s", len ? (int)len : 1,
				    len ? search : ".", name);
		if (used < PATH_MAX && access(path, X_OK) == 0 && stat(path, &st) == 0 &&
		    S_ISREG(st.st_mode))
			return true;
		if (!search[len])
			break;
		search += len + 1;
	}
	errno = ENOENT;
	return false;
}

static int examine_form(const struct examination *exam, const struct program *program)
{
	switch (program->form) {
	case PROGRAM_SCRIPT:
		return program->interpreter[0]
			       ? 1
			       : refuse(exam, "is a script without an interpreter.");
	case PROGRAM_FOREIGN:
		return refuse(exam, "is neither an ELF program nor a script.");
	case PROGRAM_DAMAGED:
		return refuse(exam, "is a damaged ELF file.");
	case PROGRAM_OTHER_MACHINE:
		return refuse(exam,
			      "is built for another architecture than the shim (" PROGRAM_MACHINE
			      "), and the loader would ignore it.");
	case PROGRAM_NO_PROGRAM:
		return refuse(exam, "is an ELF file, but not a program.");
	case PROGRAM_STATIC:
	case PROGRAM_DYNAMIC:
		break;
	}
	if (program->is_go)
		return refuse(exam,
			      "is a Go program: it makes its system calls without libc, so the "
			      "shim would see none of them.");
	if (program->form == PROGRAM_STATIC)
		return refuse(exam, "is statically linked: no loader reads LD_PRELOAD for it.");
	if (strstr(program->interpreter, "ld-musl"))
		return refuse(exam, "uses musl, and the shim is built for glibc.");
	return 0;
}

static int examine_privilege(const struct examination *exam, int fd, const struct stat *status)
{
	switch (program_privilege(fd, status)) {
	case PRIVILEGE_SET_ID:
		return refuse(exam, "is set-id: for the user's protection the loader ignores "
				    "LD_PRELOAD. Start it as the user it changes to.");
	case PRIVILEGE_CAPABILITIES:
		return refuse(exam,
			      "has file capabilities: for the user's protection the loader "
			      "ignores LD_PRELOAD. Let the service manager grant them instead "
			      "(AmbientCapabilities=).");
	case PRIVILEGE_NONE:
		break;
	}
	return 0;
}

/* `env NAME` is looked through. */
static bool next_program(struct program *script, char path[PATH_MAX])
{
	const char *base = strrchr(script->interpreter, '/');
	char *end, *argument = strtok_r(script->argument, " \t", &end);

	if (strcmp(base ? base + 1 : script->interpreter, "env") == 0 && argument &&
	    argument[0] != '-' && !strchr(argument, '='))
		return launch_find(argument, path);
	snprintf(path, PATH_MAX, "%s", script->interpreter);
	return true;
}

/* A descriptor of a file that may be looked at; -1 with errno. */
static int open_program(const char *path, struct stat *status)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -1;
	if (fstat(fd, status) == 0 && S_ISREG(status->st_mode))
		return fd;
	close(fd);
	errno = S_ISDIR(status->st_mode) ? EISDIR : ENOEXEC;
	return -1;
}

int launch_examine(const char *path, char *why, size_t size)
{
	char name[PATH_MAX], next[PATH_MAX];
	struct examination exam = {.path = name, .why = why, .why_size = size};
	struct program program;
	struct stat status = {0};

	snprintf(name, sizeof(name), "%s", path);
	for (int depth = 0; depth < PROGRAM_DEPTH; depth++) {
		int fd = open_program(name, &status);
		/* Executable but not readable: the kernel runs it, we cannot look. */
		if (fd < 0)
			return errno == EACCES
				       ? 0
				       : refuse(&exam, "cannot be started: %s.", strerror(errno));
		program_read(fd, &program);
		int result = examine_form(&exam, &program);
		if (!result)
			result = examine_privilege(&exam, fd, &status);
		close(fd);
		if (result <= 0)
			return result;
		if (!next_program(&program, next))
			return refuse(&exam, "is a script for env, which will not find %s.",
				      program.argument);
		memcpy(name, next, sizeof(name));
	}
	return refuse(&exam, "is an interpreter of too many scripts.");
}
