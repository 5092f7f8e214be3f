/* Start-up, in order: each level is safe to run wrappers at, and they pass through until the last.
 */
#include "shim/calls/real.h"
#include "shim/group/mark.h"
#include "shim/group/stand_in.h"
#include "shim/process/runtime.h"
#include <errno.h>

__attribute__((constructor)) static void start(void)
{
	int before = errno;

	real_start();
	if (mark_start()) {
		stand_in_start();
		runtime_start();
	}
	errno = before;
}
