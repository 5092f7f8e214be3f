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
#include <errno.h>
#include <unistd.h>

__attribute__((constructor)) static void start(void)
{
	int before = errno;

	real_start();
	if (mark_start()) {
		stand_in_start();
		surroundings_start(environ);
		runtime_start();
		pinning_start();
		migrate_start(real_epoll_ctl);
		carry_in(surroundings_inherited(), environ);
	}
	errno = before;
}
