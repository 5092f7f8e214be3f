/* The data of our own registrations in an application's epoll instance.
 *
 * Pointers into a reserved range of addresses that holds nothing: no pointer, index or descriptor
 * that an application registers can be equal to one. */
#pragma once
#include "shim/decide/slots.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

/* How many registrations marks can tell apart. */
#define REGISTRATIONS_MAX 4096

/* Of each registration: a mark a slot, then the other kinds. A power of two, as each event of ours
 * is divided by it. */
#define MARKS_EACH (2 * SLOTS_MAX)
#define MARKS      ((uint64_t)REGISTRATIONS_MAX * MARKS_EACH)

extern uint64_t mark_base;

enum mark_kind { MARK_MEMBER, MARK_DOOR, MARK_LISTENER, MARK_NEWS };

struct mark {
	enum mark_kind kind;
	unsigned registration;
	uint16_t slot; /* of MARK_MEMBER */
};

/* Reserves the range, once. Returns false where there is no room. */
bool mark_start(void);
uint64_t mark_make(struct mark mark);

static inline bool mark_is(const struct epoll_event *event)
{
	return event->data.u64 - mark_base < MARKS && mark_base;
}

static inline struct mark mark_of(const struct epoll_event *event)
{
	uint64_t at = event->data.u64 - mark_base;
	unsigned place = (unsigned)(at % MARKS_EACH);
	struct mark mark = {.registration = (unsigned)(at / MARKS_EACH)};

	if (place < SLOTS_MAX)
		mark.slot = (uint16_t)place;
	else
		mark.kind = (enum mark_kind)(place - SLOTS_MAX + 1);
	return mark;
}
