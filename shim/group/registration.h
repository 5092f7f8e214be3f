/* A listener in an epoll instance, and the members that stand beside it there. */
#pragma once
#include "shim/decide/balance.h"
#include "shim/group/group.h"
#include "shim/group/mark.h"
#include <sys/epoll.h>

struct registration {
	_Atomic int in_use;
	_Atomic int listener;
	_Atomic int fd; /* the application's number of the listener */
	struct registration *_Atomic next;

	/* What the application registered; written by any thread, as epoll_ctl() is. */
	_Atomic int present;
	_Atomic uint32_t events;
	_Atomic uint64_t data;
	_Atomic int rearmed; /* EPOLLET, added or modified: what waits is to be reported again */
	_Atomic int fired;   /* EPOLLONESHOT: reported, not yet armed again */

	/* What was made of it by the thread that waits. */
	uint32_t settled_events;
	uint64_t settled_data;
	uint32_t epoch;            /* process that added the members (self_epoch) */
	struct ledger_claim claim; /* its entry in the group's ledger */
	struct slot_set
		added; /* members in the instance: the home of the thread that waits on it */
	bool has_door;
	struct slot_set draining; /* slots with connections that nobody else will take */
	/* Reports of members while nobody ever called accept(), and since when. */
	_Atomic unsigned unanswered;
	_Atomic uint64_t unanswered_ms;

	struct balance balance; /* steal.h */
};

extern struct registration registration_places[REGISTRATIONS_MAX];
static inline struct registration *registration_at(unsigned number)
{
	return &registration_places[number % REGISTRATIONS_MAX];
}
static inline unsigned registration_number(const struct registration *reg)
{
	return (unsigned)(reg - registration_places);
}

/* Under self_lock(). NULL where all are in use. */
struct registration *registration_new(int fd, int listener, const struct epoll_event *event);
/* EPOLL_CTL_ADD or MOD of one that is known. */
void registration_update(struct registration *reg, const struct epoll_event *event);
/* Whether the application wants to hear of connections: not where it took EPOLLIN away, nor before
 * it armed an EPOLLONESHOT that has fired. */
static inline bool registration_is_armed(const struct registration *reg)
{
	return reg->present && reg->events & EPOLLIN && !(reg->events & EPOLLONESHOT && reg->fired);
}
/* Whether settle would have something to do. */
bool registration_is_changed(const struct registration *reg);

/* Makes the instance hold exactly the members of home, tells the ledger. Under self_lock(). */
void registration_settle(struct registration *reg, int epfd, struct group *group,
			 const struct slot_set *home, uint64_t now_ms);
/* Another one of the group does that: this holds none of them. Under self_lock(). */
void registration_yield(struct registration *reg, int epfd, struct group *group);
/* In a private instance: registers the listener itself, for one thread to wake up at a time.
 * Returns 0 or -errno. */
int registration_put_listener(struct registration *reg, int epfd);
/* If a look at the group's workers is due, looks; returns the slots to drain here. */
struct slot_set registration_look(struct registration *reg, struct group *group, uint64_t now_ms);
/* The application closes a socket of the group: the next look, which is due, counts them. */
void registration_recount(struct group *group);
/* One member out, until it is settled again. */
void registration_take_out(struct registration *reg, int epfd, const struct group *group,
			   unsigned slot);
/* Takes all members out and frees it. Under self_lock(). */
void registration_end(struct registration *reg, int epfd, struct group *group);
/* Takes all members out, until it is settled again. */
void registration_strip(struct registration *reg, int epfd, struct group *group);
/* The same, and the listener is gone: it stays in its list until the next wait. */
void registration_withdraw(struct registration *reg, int epfd, struct group *group);

/* The listener reports, with EPOLLONESHOT: false if the application was told before. */
bool registration_fire(struct registration *reg);
/* A member reports. For EPOLLONESHOT: false if the application was told before, else silences the
 * listener itself. */
bool registration_arm_once(struct registration *reg, int epfd);
static inline bool registration_arm(struct registration *reg, int epfd)
{
	return !(reg->events & EPOLLONESHOT) || registration_arm_once(reg, epfd);
}
