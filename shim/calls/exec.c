/* The exec family. A program that starts itself anew and leaves its listeners open stays preloaded,
 * and they keep their groups: a server that upgrades its binary may have made its environment anew.
 * Any other program gets what it is given. */
#include "shim/calls/real.h"
#include "shim/connect/late_port.h"
#include "shim/group/carry.h"
#include "shim/process/pinning.h"
#include "shim/process/program.h"
#include "shim/process/runtime.h"
#include "shim/process/surroundings.h"
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

/* Entries of an environment or arguments that are copied, on the stack: this may be a vfork child,
 * where nothing may be allocated. Few take little of it: that of a thread may be small. */
#define ENTRIES_MAX 2048
#define ENTRIES_FEW 256

/* An exec to come: which function, and what it gets. */
struct request {
	int (*real)(const char *path, char *const *argv, char *const *envp);
	const char *path;
	char *const *argv;
	char *const *envp;
};

/* environment: of `room` entries and one more. */
static int execute_carrying(const struct request *request, char **environment, int room)
{
	char inherit[CARRY_TEXT_MAX];
	char *const *envp = request->envp;
	int before = errno, count = -1;

	late_port_settle_all();
	bool same = runtime_on() && request->path && surroundings_is_own_program(request->path);
	bool restore = same && carry_leaves_listener();

	/* Nothing goes along where the next program would not know what it is. */
	if (runtime_on() && (restore || surroundings_preloads(envp)) &&
	    surroundings_has_library() && program_preloads(request->path))
		count = surroundings_copy(envp, restore, environment, room);
	if (count < 0 || !surroundings_preloads(environment)) {
		errno = before;
		return request->real(request->path, request->argv, envp);
	}
	envp = environment;
	struct carried carried = carry_out(same);
	if (carry_text(carried, inherit)) {
		environment[count++] = inherit;
		environment[count] = NULL;
	}
	errno = before;
	int ret = request->real(request->path, request->argv, envp);
	before = errno;
	carry_undo(carried);
	errno = before;
	return ret;
}

static __attribute__((noinline)) int execute_with_many(const struct request *request)
{
	char *environment[ENTRIES_MAX + 1];

	return execute_carrying(request, environment, ENTRIES_MAX);
}

static int execute_with_few(const struct request *request)
{
	char *environment[ENTRIES_FEW + 1];

	return execute_carrying(request, environment, ENTRIES_FEW);
}

/* Half of the room is for what is restored, and carried along. */
static bool has_few(char *const *entries)
{
	for (int i = 0; entries && i < ENTRIES_FEW / 2; i++)
		if (!entries[i])
			return true;
	return !entries;
}

/* The next program does not inherit our pinning. */
static int execute(const struct request *request)
{
	int cpu = pinning_lift();
	int ret = has_few(request->envp) ? execute_with_few(request) : execute_with_many(request);

	pinning_restore(cpu);
	return ret;
}

EXPORTED int execve(const char *path, char *const *argv, char *const *envp)
{
	return execute(&(struct request){real_execve, path, argv, envp});
}

EXPORTED int execvpe(const char *file, char *const *argv, char *const *envp)
{
	return execute(&(struct request){real_execvpe, file, argv, envp});
}

EXPORTED int execv(const char *path, char *const *argv)
{
	return execve(path, argv, environ);
}

EXPORTED int execvp(const char *file, char *const *argv)
{
	return execvpe(file, argv, environ);
}

/* Arguments up to the NULL that ends them, and the environment behind it where there is one. */
struct arguments {
	const char *first;
	va_list more;
	bool has_environment;
};

typedef int (*execute_fn)(const char *file, char *const *argv, char *const *envp);

static int count_arguments(struct arguments *arguments)
{
	int count = 0;
	va_list more;

	va_copy(more, arguments->more);
	for (const char *next = arguments->first; next && count <= ENTRIES_MAX;
	     next = va_arg(more, const char *))
		count++;
	va_end(more);
	return count;
}

static int execute_list(const char *file, struct arguments *arguments, execute_fn execute_vector,
			char **argv)
{
	int count = 0;

	for (const char *next = arguments->first; next;
	     next = va_arg(arguments->more, const char *))
		argv[count++] = (char *)next;
	argv[count] = NULL;
	return execute_vector(file, argv,
			      arguments->has_environment ? va_arg(arguments->more, char *const *)
							 : environ);
}

static __attribute__((noinline)) int
execute_long_list(const char *file, struct arguments *arguments, execute_fn execute_vector)
{
	char *argv[ENTRIES_MAX + 1];

	return execute_list(file, arguments, execute_vector, argv);
}

static int execute_short_list(const char *file, struct arguments *arguments,
			      execute_fn execute_vector)
{
	char *argv[ENTRIES_FEW + 1];

	return execute_list(file, arguments, execute_vector, argv);
}

static int execute_arguments(const char *file, struct arguments *arguments,
			     execute_fn execute_vector)
{
	int count = count_arguments(arguments);

	if (count > ENTRIES_MAX) {
		errno = E2BIG;
		return -1;
	}
	return count > ENTRIES_FEW ? execute_long_list(file, arguments, execute_vector)
				   : execute_short_list(file, arguments, execute_vector);
}

EXPORTED int execl(const char *path, const char *first, ...)
{
	struct arguments arguments = {.first = first};

	va_start(arguments.more, first);
	int ret = execute_arguments(path, &arguments, execve);
	va_end(arguments.more);
	return ret;
}

EXPORTED int execlp(const char *file, const char *first, ...)
{
	struct arguments arguments = {.first = first};

	va_start(arguments.more, first);
	int ret = execute_arguments(file, &arguments, execvpe);
	va_end(arguments.more);
	return ret;
}

EXPORTED int execle(const char *path, const char *first, ...)
{
	struct arguments arguments = {.first = first, .has_environment = true};

	va_start(arguments.more, first);
	int ret = execute_arguments(path, &arguments, execve);
	va_end(arguments.more);
	return ret;
}
