/* The data of our own registrations in an application's epoll instance.
 *
 * Pointers into a reserved range of addresses that holds nothing: no pointer, index or descriptor
 * that an application registers can be equal to one. */
#pragma once
#include "shim/decide/slots.h"
#include <sys/epoll.h>

enum mark_kind { MARK_MEMBER, MARK_DOOR, MARK_LISTENER, MARK_NEWS };

struct mark {
	enum mark_kind kind;
	unsigned registration;
	uint16_t slot; /* of MARK_MEMBER */
};

/* Reserves the range, once. Returns false where there is no room. */
bool mark_start(void);
uint64_t mark_make(struct mark mark);
bool mark_is(const struct epoll_event *event);
struct mark mark_of(const struct epoll_event *event);
