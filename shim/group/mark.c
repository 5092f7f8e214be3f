#include "shim/group/mark.h"
#include "shim/group/registration.h"
#include "shim/kernel/sys.h"
#include <stddef.h>
#include <sys/mman.h>

/* Of each registration: a mark a slot, then the other kinds. A power of two, as each event of ours
 * is divided by it. */
#define MARKS_EACH (2 * SLOTS_MAX)
#define MARKS      ((uint64_t)REGISTRATIONS_MAX * MARKS_EACH)

static uint64_t base;

bool mark_start(void)
{
	long map = sys(SYS_mmap, NULL, MARKS, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (map < 0 && map > -4096)
		return false;
	base = (uint64_t)map;
	return true;
}

uint64_t mark_make(struct mark mark)
{
	unsigned place = mark.kind == MARK_MEMBER ? mark.slot : SLOTS_MAX + (unsigned)mark.kind - 1;

	return base + (uint64_t)mark.registration * MARKS_EACH + place;
}

bool mark_is(const struct epoll_event *event)
{
	return event->data.u64 - base < MARKS && base;
}

struct mark mark_of(const struct epoll_event *event)
{
	uint64_t at = event->data.u64 - base;
	unsigned place = (unsigned)(at % MARKS_EACH);
	struct mark mark = {.registration = (unsigned)(at / MARKS_EACH)};

	if (place < SLOTS_MAX)
		mark.slot = (uint16_t)place;
	else
		mark.kind = (enum mark_kind)(place - SLOTS_MAX + 1);
	return mark;
}
