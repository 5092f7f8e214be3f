/* The single acceptor: one thread accepts, and deals the descriptors out to others.
 *
 * Who takes which is seen from the thread that first adds an accepted descriptor to an epoll
 * instance. Once the order of turns is known (turns.h), the acceptor watches the members of all
 * CPUs that its workers are pinned to, and accept() takes, of the connections that wait, one of the
 * CPU of the worker whose turn it is. Where only others wait it takes one of those: a connection
 * that comes alone goes to whoever is next, as without the shim. */
#pragma once
#include "shim/group/group.h"
#include "shim/process/fd_table.h"
#include "shim/process/self.h"

/* Of the calling thread. */
struct deal_here {
	uint32_t epoch;
	bool wanted;
	struct dealer *dealer;
	uint32_t rest; /* connections until it shall have a place again */
};
extern __thread struct deal_here deal_here;

/* accept() returned a descriptor to this thread. Returns what to remember in its word (FD_PLAIN),
 * for deal_taken(). */
uint32_t deal_accepted_slowly(void);
static inline uint32_t deal_accepted(void)
{
	if (__builtin_expect(deal_here.rest && !deal_here.dealer && deal_here.epoch == self_epoch(),
			     1)) {
		deal_here.rest--;
		return 0;
	}
	return deal_accepted_slowly();
}

/* An accepted descriptor is added to an epoll instance by this thread: only the first time counts.
 */
void deal_taken_slowly(int fd, struct fd_word word);
static inline void deal_taken(int fd)
{
	struct fd_word word = fd_get(fd);

	if (word.kind == FD_PLAIN && word.value)
		deal_taken_slowly(fd, word);
}

/* Before an accept(): of the members that are ready, puts one of the next worker's CPU first. */
void deal_order_slowly(const struct group *group);
static inline void deal_order(const struct group *group)
{
	if (deal_here.dealer)
		deal_order_slowly(group);
}

/* Adds the slots that workers of this thread are home to. Under self_lock(). */
void deal_join_homes(const struct group *group, struct slot_set *home);
