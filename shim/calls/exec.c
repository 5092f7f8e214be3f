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
 * where nothing may be allocated. */
#define ENTRIES_MAX 2048

/* An exec to come: which function, and what it gets. */
struct request {
	int (*real)(const char *path, char *const *argv, char *const *envp);
	const char *path;
	char *const *argv;
	char *const *envp;
};

static int execute_carrying(const struct request *request)
{
	char *environment[ENTRIES_MAX + 1];
	char inherit[CARRY_TEXT_MAX];
	char *const *envp = request->envp;
	int before = errno, count = -1;

	late_port_settle_all();
	bool same = runtime_on() && surroundings_is_own_program(request->path);
	bool restore = same && carry_leaves_listener();

	/* Nothing goes along where the next program would not know what it is. */
	if (runtime_on() && (restore || surroundings_preloads(envp)) &&
	    surroundings_has_library() && program_preloads(request->path))
		count = surroundings_copy(envp, restore, environment, ENTRIES_MAX);
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

/* The next program does not inherit our pinning. */
static int execute(const struct request *request)
{
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

/* Arguments up to the NULL that ends them; returns false where there are too many. */
static bool collect(char **argv, const char *first, va_list more)
{
	int count = 0;

	for (const char *next = first; next; next = va_arg(more, const char *)) {
		if (count == ENTRIES_MAX)
			return false;
		argv[count++] = (char *)next;
	}
	argv[count] = NULL;
	return true;
}

static int too_many(void)
{
	errno = E2BIG;
	return -1;
}

EXPORTED int execl(const char *path, const char *first, ...)
{
	char *argv[ENTRIES_MAX + 1];
	va_list more;

	va_start(more, first);
	bool fits = collect(argv, first, more);
	va_end(more);
	return fits ? execve(path, argv, environ) : too_many();
}

EXPORTED int execlp(const char *file, const char *first, ...)
{
	char *argv[ENTRIES_MAX + 1];
	va_list more;

	va_start(more, first);
	bool fits = collect(argv, first, more);
	va_end(more);
	return fits ? execvpe(file, argv, environ) : too_many();
}

EXPORTED int execle(const char *path, const char *first, ...)
{
	char *argv[ENTRIES_MAX + 1];
	va_list more;

	va_start(more, first);
	bool fits = collect(argv, first, more);
	char *const *envp = fits ? va_arg(more, char *const *) : NULL;
	va_end(more);
	return fits ? execve(path, argv, envp) : too_many();
}
