/* Start-up, in order: each level is safe to run wrappers at, and they pass through until the last.
 */
#include "shim/calls/real.h"
#include "shim/group/carry.h"
#include "shim/group/mark.h"
#include "shim/group/stand_in.h"
#include "shim/migrate/migrate.h"
#include "shim/process/pinning.h"
#include "shim/process/runtime.h"
#include "shim/process/surroundings.h"
#include <dlfcn.h>
#include <errno.h>
#include <sys/auxv.h>
#include <unistd.h>

static const char *own_path(void)
{
	Dl_info library;

	return dladdr((void *)own_path, &library) ? library.dli_fname : NULL;
}

__attribute__((constructor)) static void start(void)
{
	int before = errno;

	/* A set-id program gets the library from /etc/ld.so.preload only, and is to be what it is
	 * without: who starts it chooses the environment and much of what it does. */
	if (getauxval(AT_SECURE))
		return;
	real_start();
	if (mark_start()) {
		stand_in_start();
		surroundings_start(environ, own_path());
		runtime_start();
		pinning_start();
		migrate_start(real_epoll_ctl);
		carry_in(surroundings_inherited(), environ);
	}
	errno = before;
}
