/* Memory for a moment, where what the kernel has to say may be more than the stack of an
 * application's thread can hold. Costs two system calls: for what is rare. */
#pragma once
#include "shim/kernel/sys.h"
#include <stddef.h>
#include <sys/mman.h>

/* Zeroed; NULL: there is none. */
static inline void *scratch_take(size_t size)
{
	long map = sys(SYS_mmap, NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);

	return map < 0 ? NULL : (void *)map;
}

static inline void scratch_return(void *scratch, size_t size)
{
	sys(SYS_munmap, scratch, size);
}
