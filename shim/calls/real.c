#include "shim/calls/real.h"
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>

/* An application that calls what its libc lacks would not have been linked without us. */
static long missing(void)
{
	errno = ENOSYS;
	return -1;
}

static void *find(const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);

	return found ? found : (void *)missing;
}

#define LOOK_UP(name) __atomic_store_n((void **)&real_##name, find(#name), __ATOMIC_RELAXED)

#define CALL(result, name, parameters, arguments) \
	static result first_##name parameters     \
	{                                         \
		LOOK_UP(name);                    \
		return real_##name arguments;     \
	}                                         \
	result(*real_##name) parameters = first_##name;
#define CALL_FCNTL(name)                                   \
	static int first_##name(int fd, int command, ...)  \
	{                                                  \
		va_list more;                              \
		va_start(more, command);                   \
		long argument = va_arg(more, long);        \
		va_end(more);                              \
		LOOK_UP(name);                             \
		return real_##name(fd, command, argument); \
	}                                                  \
	int (*real_##name)(int, int, ...) = first_##name;
#include "shim/calls/calls.def"

void real_start(void)
{
#define CALL(result, name, parameters, arguments) LOOK_UP(name);
#define CALL_FCNTL(name)                          LOOK_UP(name);
#include "shim/calls/calls.def"
}
