/* The exec family. A program that starts itself anew and leaves its listeners open stays preloaded,
 * and they keep their groups: a server that upgrades its binary may have made its environment anew.
 * Any other program gets what it is given. */
#include "shim/calls/real.h"
#include "shim/connect/late_port.h"
#include "shim/group/carry.h"
#include "shim/kernel/pointer.h"
#include "shim/process/pinning.h"
#include "shim/process/program.h"
#include "shim/process/runtime.h"
#include "shim/process/surroundings.h"
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

/* What is copied of an environment or arguments is on the stack, as in libc: this may be a vfork
 * child, where nothing may be allocated. */
#define ENTRIES_MAX 2048 /* of an environment; a longer one goes as it is */

/* An exec to come: which function, and what it gets. */
struct request {
	int (*real)(const char *path, char *const *argv, char *const *envp);
	const char *path;
	char *const *argv;
	char *const *envp;
};

static int count_entries(char *const *entries)
{
	int count = 0;

	while (entries && count < ENTRIES_MAX && entries[count])
		count++;
	return count;
}

/* What goes along is worth it: how many entries the environment then takes; 0: nothing does. */
static int entries_to_carry(const struct request *request, bool restore)
{
	/* Nothing goes along where the next program would not know what it is. */
	if (!runtime_on() || !(restore || surroundings_preloads(request->envp)) ||
	    !surroundings_has_library() || !program_preloads(request->path))
		return 0;
	return count_entries(request->envp) + surroundings_kept() + 2;
}

static int execute_carrying(const struct request *request)
{
	char inherit[CARRY_TEXT_MAX];
	int before = errno, count = -1;

	late_port_settle_all();
	bool same = runtime_on() && request->path && surroundings_is_own_program(request->path);
	bool restore = same && carry_leaves_listener();
	int room = entries_to_carry(request, restore);
	char **environment = __builtin_alloca((size_t)room * sizeof(*environment));
	if (room)
		count = surroundings_copy(request->envp, restore, environment, room - 1);
	if (count < 0 || !surroundings_preloads(environment)) {
		errno = before;
		return request->real(request->path, request->argv, request->envp);
	}
	struct carried carried = carry_out(same);
	if (carry_text(carried, inherit)) {
		environment[count++] = inherit;
		environment[count] = NULL;
	}
	errno = before;
	int ret = request->real(request->path, request->argv, environment);
	before = errno;
	carry_undo(carried);
	errno = before;
	return ret;
}

/* The next program does not inherit our pinning. */
static int execute(const struct request *request)
{
	if (!may_point(request->path) || (request->envp && !may_point(request->envp)))
		return request->real(request->path, request->argv, request->envp);
	int cpu = pinning_lift();
	int ret = execute_carrying(request);

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

static size_t count_arguments(struct arguments *arguments)
{
	size_t count = 0;
	va_list more;

	va_copy(more, arguments->more);
	for (const char *next = arguments->first; next; next = va_arg(more, const char *))
		count++;
	va_end(more);
	return count;
}

static int execute_arguments(const char *file, struct arguments *arguments,
			     execute_fn execute_vector)
{
	char **argv = __builtin_alloca((count_arguments(arguments) + 1) * sizeof(*argv));
	size_t count = 0;

	for (const char *next = arguments->first; next;
	     next = va_arg(arguments->more, const char *))
		argv[count++] = (char *)next;
	argv[count] = NULL;
	return execute_vector(file, argv,
			      arguments->has_environment ? va_arg(arguments->more, char *const *)
							 : environ);
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
