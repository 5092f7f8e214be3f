/* Who watches which slot of a listener's group: shared by every process that holds the group.
 *
 * A memfd that travels with the sockets it describes. What the program of the group must be is a
 * pure function of it, so whoever notices a change may attach the new program: entries are changed
 * with single atomic operations, then the generation is raised, and whoever attached for an older
 * generation does it again. There is no lock that a killed process could take along.
 *
 * The memory is written by every process of the application, of which none can be trusted to be
 * whole: readers check every number they take from it. */
#pragma once
#include "shim/decide/queue_age.h"
#include "shim/decide/shift.h"
#include "shim/decide/slots.h"
#include "shim/decide/steer_program.h"
#include <sched.h>
#include <stdatomic.h>

/* Tests build a library of another version. */
#ifndef LEDGER_ABI
#define LEDGER_ABI 7
#endif
#define LEDGER_WATCHES_MAX 512

/* How connections come to a worker on their CPU: the first that the kernel allows. */
enum ledger_rung {
	/* SO_ATTACH_REUSEPORT_CBPF. */
	RUNG_PROGRAM,
	/* SO_INCOMING_CPU of each member that is watched. It knows no interfaces: same-host clients
	 * are steered by the CPU they run on, too. Connections of a CPU that no member prefers are
	 * spread by hash over all sockets of the group, also over members nobody watches: there
	 * they wait until the next look at the workers finds them. */
	RUNG_INCOMING_CPU,
	/* All over the application's own socket; no members but mailboxes, see mailbox.h. */
	RUNG_HAND_OVER,
};

enum ledger_watch_state {
	LEDGER_WATCH_FREE,
	LEDGER_WATCH_CLAIMED, /* being filled in */
	LEDGER_WATCH_LIVE,
	LEDGER_WATCH_STUCK, /* has not moved while a connection waited; its slots are served by
			       others */
};

/* One epoll instance (or its stand-in) that the group's listeners are watched with. */
struct ledger_watch {
	_Atomic uint32_t state;
	_Atomic uint32_t claim;     /* raised by each claim */
	_Atomic uint32_t pid_space; /* pid name space in which pid and tid are numbers */
	_Atomic int32_t pid, tid;
	_Atomic uint64_t moved_ms; /* when its thread last came around to wait */
	_Atomic uint64_t home[SLOTS_WORDS];
} __attribute__((aligned(64)));

/* Connections taken from a slot's queue by the workers at home there, counted around: `[balance]`.
 * Each on its own line, as only they write it. */
struct ledger_local {
	_Atomic uint32_t taken;
} __attribute__((aligned(64)));

struct ledger {
	uint32_t magic, abi, size;
	uint32_t owner_uid; /* user whose sockets the members are */
	uint32_t rung;      /* enum ledger_rung; fixed when the group is built */
	uint32_t slot_count;
	uint16_t slot_cpu[SLOTS_MAX];

	_Atomic uint32_t generation;  /* of what the program is made from */
	_Atomic uint32_t attached;    /* generation the attached program was made from */
	_Atomic uint32_t stand_aside; /* for good: the application steers its sockets itself */
	_Atomic uint32_t suspended; /* the application ended its listening, the members' with it */
	_Atomic uint32_t member_base, common_base, common_count;
	_Atomic uint64_t look_ms; /* when somebody shall look for dead and stuck workers again */
	_Atomic uint32_t looks;
	_Atomic uint32_t
		accepting; /* who is inside accept() of a blocking common socket; 0: none */

	/* The interfaces that spread over receive queues, and the CPUs of those. */
	_Atomic uint32_t nic_count;
	_Atomic uint32_t nic_ifindex[STEER_NICS_MAX];
	_Atomic uint64_t arrivals[CPU_SETSIZE / 64];

	struct ledger_watch watch[LEDGER_WATCHES_MAX];
	struct ledger_local local[SLOTS_MAX];
	_Atomic uint32_t lost[SLOTS_MAX]; /* taken from a slot's queue by others, counted around */
	struct shift shift;
	struct queue_age age[SLOTS_MAX]; /* of each slot's queue */
};

/* Makes one in a new memfd. Returns the descriptor (ours to place) or -errno. */
int ledger_create(struct ledger **ledger, uint32_t owner_uid, unsigned slot_count,
		  const uint16_t *slot_cpu);
/* Maps the ledger behind a descriptor somebody gave us. Returns 0, or -errno: -EPROTO where it is
 * not a ledger, or one of another version: then stand aside. */
int ledger_map(int fd, struct ledger **ledger);
void ledger_unmap(struct ledger *ledger);

/* Says where packets arrive; a new generation only where that is something else. */
void ledger_set_nics(struct ledger *ledger, unsigned count, const uint32_t *ifindex,
		     const cpu_set_t *arrivals);

/* An entry that was claimed, and which of its claims it was: entries of threads taken for dead are
 * given to others. watch -1: none. */
struct ledger_claim {
	int watch;
	uint32_t claim;
};

/* A thread, as its own process knows it. */
struct ledger_thread {
	uint32_t pid_space; /* procfs_pid_space() */
	int pid, tid;
};

/* Claims an entry for this thread; watch is -1 where all are in use. */
struct ledger_claim ledger_claim(struct ledger *ledger, struct ledger_thread thread);
void ledger_release(struct ledger *ledger, struct ledger_claim claim);
/* Came around at that time, CLOCK_MONOTONIC in milliseconds: a store. */
void ledger_moved(struct ledger *ledger, struct ledger_claim claim, uint64_t now_ms);
/* The same, waited on by that thread. Says which slots the thread is home to where that differs;
 * revives a stuck entry. Returns false once the claim is lost. */
bool ledger_report(struct ledger *ledger, struct ledger_claim claim, int tid,
		   const struct slot_set *home, uint64_t now_ms);

/* Slots that a live, moving worker is home to. */
void ledger_watched(const struct ledger *ledger, struct slot_set *watched);
void ledger_steer_input(const struct ledger *ledger, struct steer_input *input);
void ledger_gate(const struct ledger *ledger, struct steer_gate *gate);

/* Whether a worker at home in that slot came around within so many milliseconds. */
bool ledger_moves(const struct ledger *ledger, unsigned slot, uint64_t now_ms, unsigned within_ms);

/* What is known of a thread of the same pid name space. In another one its numbers stand for
 * another thread or for none, so there it is known by coming around alone. */
struct ledger_eyes {
	uint32_t pid_space;
	bool (*lives)(int pid, int tid);
	/* It runs, or would if it were given a CPU; also where that cannot be known. */
	bool (*runs)(int pid, int tid);
};

/* A worker at whose slots connections wait is stuck once it has not come around for that long.
 * Sleeping ones wake up every LEDGER_SLEEP_MS, so one that rests for longer rests somewhere else;
 * one that runs may be busy, or kept from a CPU that is. Nobody's connections shall wait for more
 * than a second. */
#define LEDGER_SLEEP_MS 200
#define LEDGER_RESTS_MS 500
#define LEDGER_RUNS_MS  900
/* A thread of another pid name space is gone once it has not come around for that long. Should it
 * only have been busy, it claims an entry anew. */
#define LEDGER_GONE_MS 10000
/* The time between two looks while nothing is suspected. */
#define LEDGER_LOOK_MS 400

/* One look at the workers. waiting: slots whose queue holds connections at this moment.
 * Frees the entries of threads that are gone, marks those that are stuck, and says in *again_ms how
 * soon the next look is due. Returns the slots whose waiting connections nobody moving is home to,
 * or whose worker was found gone or stuck just now: of several at home there only one is woken up
 * for a connection, and it may have been that. */
struct slot_set ledger_check(struct ledger *ledger, const struct slot_set *waiting, uint64_t now_ms,
			     const struct ledger_eyes *eyes, unsigned *again_ms);

/* Whether connections are steered to members at all at the moment. */
static inline bool ledger_is_steering(const struct ledger *ledger)
{
	return !ledger->stand_aside && !ledger->suspended;
}

static inline bool ledger_hands_over(const struct ledger *ledger)
{
	return ledger->rung == RUNG_HAND_OVER;
}

static inline void ledger_changed(struct ledger *ledger)
{
	atomic_fetch_add(&ledger->generation, 1);
}
