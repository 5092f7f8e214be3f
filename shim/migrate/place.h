/* Where the registration of each descriptor is: a word a descriptor, beside the descriptor table.
 *
 * Whoever adds, modifies, takes out, moves or closes one holds its word meanwhile (place_take), so
 * that these do not cross. Nobody holds two, or sleeps with one: the others wait a system call or
 * two. Signals may come in between: their handler finds the word held by its own thread, and goes
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
	PLACE_TAKEN,    /* somebody is at it: `holder` */
};

struct place {
	enum place_state state;
	uint8_t origin, now; /* numbers of instances */
	int holder;          /* thread id, of PLACE_TAKEN */
};

/* Whether a connection came in by an interface that spreads over queues. */
enum place_ingress { INGRESS_NOT_ASKED, INGRESS_SPREAD, INGRESS_OTHER };

/* What the application registered, for PLACE_MOVES and PLACE_STAYS. The holder's. */
struct place_registration {
	uint32_t events;
	uint16_t seen;   /* placement_is_lasting() */
	uint8_t ingress; /* enum place_ingress */
	uint8_t armed;   /* EPOLLONESHOT: how often, counted around */
	uint64_t data;
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
