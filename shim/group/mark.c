#include "shim/group/mark.h"
#include "shim/kernel/sys.h"
#include "shim/process/hot.h"
#include <stddef.h>
#include <sys/mman.h>

HOT_DATA uint64_t mark_base;

bool mark_start(void)
{
	long map = sys(SYS_mmap, NULL, MARKS, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (map < 0 && map > -4096)
		return false;
	mark_base = (uint64_t)map;
	return true;
}

uint64_t mark_make(struct mark mark)
{
	unsigned place = mark.kind == MARK_MEMBER ? mark.slot : SLOTS_MAX + (unsigned)mark.kind - 1;

	return mark_base + (uint64_t)mark.registration * MARKS_EACH + place;
}
