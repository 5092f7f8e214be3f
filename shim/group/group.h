/* A listener's group: the application's own sockets of one place and a member socket a CPU.
 *
 * The members are made once, at the first listen(), and are closed only together: the kernel
 * numbers the sockets of a group in the order of listen() and moves the last into the place of one
 * that leaves, and no call reads the numbers back. Members listen before the application's socket,
 * so that they are numbers 0 to n-1 for ever, whatever the application does with its own; only the
 * program changes. Whoever receives the listener receives the set: by fork, over exec (carry.h),
 * or through the door (door.h). A listener that was listening before we saw it is number 0 instead.
 *
 * Packets of CPUs whose slot nobody watches, and of interfaces that do not spread by queue, go to
 * the application's own sockets, the common queue, exactly as without the shim. */
#pragma once
#include "shim/group/ledger.h"
#include "shim/kernel/socket.h"
#include "shim/stat/stat.h"

#define GROUPS_MAX  64
#define MEMBERS_MAX (2 * SLOTS_MAX)

struct group {
	_Atomic int in_use;
	struct ledger *ledger;
	int ledger_fd;
	int door; /* listening unix socket, or -errno: the set cannot be asked for */
	unsigned slot_count;
	unsigned member_count; /* one a slot; of mailboxes two */
	int member[MEMBERS_MAX];
	/* For hand-overs: which slots are watched, as of which generation; somebody writes that. */
	struct slot_set watched;
	_Atomic uint32_t generation;
	_Atomic bool remembering;
	struct socket_place place;
	_Atomic uint32_t listeners; /* the application's sockets in it that this process holds */
	_Atomic int backlog;
	uint32_t nics_version; /* of the machine, as told to the ledger */
	uint64_t whole_ms;     /* when it was last seen to have all its descriptors */
	/* One without slots: another process has the group, and does not answer yet. When to ask it
	 * again, and how long after that. */
	uint64_t ask_ms;
	unsigned ask_pause_ms;
};

/* The group of that number, which came from listener_group(); never NULL for a number in use. */
extern struct group group_places[GROUPS_MAX];
static inline struct group *group_at(unsigned number)
{
	return &group_places[number % GROUPS_MAX];
}
static inline int group_number(const struct group *group)
{
	return (int)(group - group_places);
}

/* Those below run under self_lock(). */

/* The group of a place in this process, NULL if there is none. */
struct group *group_find(const struct socket_place *place);

/* Makes the members beside fd, which is bound and has the application's options.
 * listening: fd listens already. Else the caller's listen(fd) must follow; where that fails, drop
 * the group. Returns NULL where something is refused: then nothing is left behind, *why says what
 * was, and *error is the -errno. */
struct group *group_build(int fd, int backlog, bool listening, const char **why, int *error);

/* The same for a socket that the kernel does not let us group: with mailboxes. */
struct group *group_build_mailboxes(int fd, const char **why, int *error);

/* Takes over a set made by another process: descriptors are ours from now on, also on failure. */
struct group *group_take(int ledger_fd, int door, unsigned count, const int *member,
			 const struct socket_place *place);

/* A group without members, in place of one whose process does not answer: all comes over the common
 * queue until it does, which is asked now and then (heal.h). NULL where there is no memory. */
struct group *group_await(const struct socket_place *place);

/* Closes this process's descriptors of the group. */
void group_drop(struct group *group);

/* Whether all members are where they were put. Those that are not are -1 from then on. */
bool group_is_whole(struct group *group);

/* Listens again on all members, in their order, before the application's socket does. */
void group_listen(struct group *group, int backlog);
/* shutdown(SHUT_RD) or connect(AF_UNSPEC) of the application's last socket ends the members'
 * listening too, or they would go on taking connections nobody asked for. */
void group_unlisten(struct group *group);

/* The program leaves the choice to the kernel from now on. */
void group_unsteer(const struct group *group);

/* Repeats an option that the application set on its socket. Returns 0, or -errno where a member
 * refuses: then its connections would lack something. */
int group_set_option(struct group *group, int level, int name, const void *value, socklen_t length);

/* Tells the ledger where packets arrive, if that is not what it says. */
void group_follow_nics(struct group *group);

/* No lock needed from here on. */

/* Whether it stands for one that another process has, see group_await(). */
static inline bool group_is_awaited(const struct group *group)
{
	return !group->slot_count;
}

/* Whether this process has its connections steered to members at the moment. `rssshim off` is for
 * one application, and a group may be shared by several: each withdraws its own workers. */
static inline bool group_is_steering(const struct group *group)
{
	return ledger_is_steering(group->ledger) && !stat_is_off();
}

/* How connections get to its members, for people. */
const char *group_way(const struct group *group);

/* Counts the application's sockets anew, after one joined or left. */
void group_recount(struct group *group);

/* Tells the kernel what the ledger's present generation says. Returns 0 or -errno. */
int group_publish(struct group *group);
/* The same if it was told an older generation: two loads where it was not. */
void group_publish_if_changed(struct group *group);

/* Slots whose members have connections waiting: one system call. */
struct slot_set group_waiting(const struct group *group);

/* The slots whose CPUs are in a thread's mask; none where the mask pins the thread neither to a
 * part of the group's CPUs nor to a part of those that receive at present. */
struct slot_set group_home(const struct group *group, const cpu_set_t *mask);
