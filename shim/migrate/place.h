/* Where the registration of each descriptor is: a word a descriptor, beside the descriptor table.
 *
 * Whoever adds, modifies, takes out, moves or closes one holds its word meanwhile (place_take), so
 * that these do not cross. Nobody sleeps with one: the others wait a system call or two. Who holds
 * one takes no other, but for that of an epoll instance (instance_enter()), whose holder takes
 * none. Signals may come in between: their handler finds the word held by its own thread, and goes
 * on without. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define INSTANCES_MAX 255 /* numbers from 1 */

enum place_state {
	PLACE_NONE,     /* not registered as far as we know */
	PLACE_INSTANCE, /* is an epoll instance itself: `now` is its number */
	PLACE_MOVES,    /* registered with `origin`, is in `now` */
	PLACE_STAYS,    /* the same, but there are copies of the descriptor: stays where it is */
	PLACE_TIED,     /* not registered; a copy is, in `now` (0: nowhere yet), and it must join */
	PLACE_LEFT,     /* left alone until it is closed */
};

struct place {
	enum place_state state;
	uint8_t origin, now; /* numbers of instances */
	int holder;          /* thread that is at it, and may be changing the rest; 0: none */
};

/* What the application registered, for PLACE_MOVES and PLACE_STAYS. The holder's. */
struct place_registration {
	uint32_t events;
	int32_t ingress; /* interface it came in by; 0: not asked, -1: not known */
	uint64_t data;
	uint16_t seen; /* placement_is_lasting() */
	uint8_t armed; /* EPOLLONESHOT: how often, counted around */
	bool is_new;   /* seen says where it is to go: it was just added */
};

struct place place_get(int fd);
/* Takes the word; *before is what it said. Returns false where there is no memory for it, or the
 * calling thread has it already. */
bool place_take(int fd, struct place *before);
/* The same, but does not wait. */
bool place_try(int fd, struct place *before);
/* Says what is true now, and lets it go. */
void place_give(int fd, struct place now);
struct place_registration *place_registration(int fd);

/* One past the highest descriptor that ever had a word. */
int place_end(void);

/* Waits a little for another thread to get done. False: it was waited for long enough, so it was
 * stopped, or left by siglongjmp() from a signal handler. *looks: 0 at first. */
bool place_wait(int *looks);
