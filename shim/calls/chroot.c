/* A server that locks itself in: what the library keeps must be no way out. */
#include "shim/calls/real.h"
#include "shim/process/runtime.h"

EXPORTED int chroot(const char *path)
{
	runtime_confine();
	return real_chroot(path);
}
