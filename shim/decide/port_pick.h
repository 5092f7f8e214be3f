/* Which of the ports that fit to try next.
 *
 * Like algorithm 4 of RFC 6056: a destination starts where a secret says and walks its ports so
 * that each comes up once before any comes up again, which leaves a port as long as possible in
 * TIME_WAIT; where it meets several in a row that are taken it goes on at another place. Who sees
 * the ports of one destination learns nothing about another's. What is keyed is the destination
 * with the wanted CPUs and the range, so threads with different homes walk apart.
 *
 * Ports found taken are remembered, for the few destinations that have any, and offered again at a
 * rate that follows how often that turns out right. So in a nearly full range a pick skips 64 taken
 * ports at a time, and ports that came free are found without trying all. While most of them are
 * still to be met, a difference is made between even and odd ports: the kernel hands out all ports
 * of the one kind before any of the other (Linux 4.2 and later), so that of a range half taken by
 * it one half is full and the other empty.
 *
 * All threads of a process share one state without locks: it holds hints, and whatever a race makes
 * of them costs at most a try. After a fork give the child a secret of its own, or it walks in step
 * with its siblings. No allocation, no pointers; sizeof(struct port_pick) is about 540 KB, of which
 * 16 KB are used, and 4 to 16 KB more for each destination with taken ports. */
#pragma once
#include "shim/decide/ports.h"
#include <stdatomic.h>

#define PORT_PICK_WAYS    4
#define PORT_PICK_CURSORS 2048 /* destinations whose place is kept */
#define PORT_PICK_MAPS    32   /* destinations whose taken ports are remembered */

/* Bits by step of the walk. */
struct port_pick_map {
	_Atomic uint32_t retry_at; /* where to look for the next taken port to offer again */
	_Atomic uint8_t picks;     /* since the last one offered again */
	_Atomic uint8_t interval;  /* picks between two of them */
	_Atomic bool refused;      /* the last one was still taken */
	/* How often even, odd, and ports offered again turned out free of late, of 255. */
	_Atomic uint8_t luck[3];
	_Atomic uint64_t taken[1024];
	_Atomic uint64_t empty[1024]; /* positions that hold no port */
};

struct port_pick {
	uint64_t secret[2];
	_Atomic uint64_t fresh;                     /* number of walks begun */
	_Atomic uint64_t cursor[PORT_PICK_CURSORS]; /* tag << 32 | step; 0: free */
	_Atomic bool mapped;                        /* there is a map */
	_Atomic uint32_t map_tag[PORT_PICK_MAPS];   /* 0: free */
	struct port_pick_map map[PORT_PICK_MAPS];
};

/* One connect's choices; zero before the first. */
struct port_choice {
	uint16_t port;
	bool again;     /* the port was taken when it was last tried */
	uint8_t offers; /* of such ports to this connect */
	uint8_t misses; /* of others that were taken */
	uint32_t step;  /* of the walk that the key stands for */
	uint64_t key;
};

/* `pick` is zeroed memory, or a state to begin anew. The secret: 16 random bytes. */
void port_pick_init(struct port_pick *pick, const uint8_t secret[16]);

/* The next port to try for the flow that `set` was made for; its local port does not count. False
 * when no port of the set is worth a try: the port in `choice` is 0 then. */
bool port_pick_next(struct port_pick *pick, const struct port_set *set, const struct flow *flow,
		    struct port_choice *choice);

/* The choice turned out to be taken. */
void port_pick_taken(struct port_pick *pick, struct port_choice *choice);

/* The choice is none that anybody may have: remembered where taken ports are, and not offered
 * again.
 */
void port_pick_barred(struct port_pick *pick, const struct port_choice *choice);

/* The choice turned out to be free. */
void port_pick_note_got(struct port_pick *pick, const struct port_choice *choice);
static inline void port_pick_got(struct port_pick *pick, const struct port_choice *choice)
{
	if (atomic_load_explicit(&pick->mapped, memory_order_relaxed))
		port_pick_note_got(pick, choice);
}
