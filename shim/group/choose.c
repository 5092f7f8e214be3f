#include "shim/group/choose.h"
#include "shim/group/door.h"
#include "shim/kernel/format.h"
#include "shim/kernel/log.h"
#include "shim/kernel/reuseport.h"
#include "shim/kernel/sys.h"
#include "shim/kernel/uncopyable.h"
#include "shim/process/fd_table.h"
#include "shim/process/runtime.h"
#include "shim/stat/stat.h"
#include <errno.h>
#include <stddef.h>

/* Two instances that start at once: one builds the group, the other waits for it that long. */
#define BUILDING_TRIES   20
#define ADOPTING_TRIES   5
#define BUILDING_WAIT_NS 10000000L

static void pause_briefly(void)
{
	struct timespec wait = {.tv_nsec = BUILDING_WAIT_NS};

	sys(SYS_nanosleep, &wait, NULL);
}

static void say_unsteered(int fd, const char *why, int error)
{
	struct socket_address address;

	char reason[STAT_REASON_MAX];

	socket_local(fd, &address);
	if (error == -ENODEV)
		format_text(reason, sizeof(reason), "%s", why);
	else
		format_text(reason, sizeof(reason), "%s refused (error %d)", why, -error);
	log_write(error == -ENODEV ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "port %u is not steered: %s",
		  socket_port(&address), reason);
	stat_listener(&address, 0, reason);
}

static bool hands_over(void)
{
	return runtime_policy()->migrate_mode != MIGRATE_OFF;
}

bool choose_is_unique(int fd, bool listening)
{
	struct fd_word word = fd_get(fd);

	return (word.kind == FD_SOCKET && word.value & SOCKET_UNIQUE) ||
	       (listening && uncopyable_is(fd));
}

/* A group, or what comes next: mailboxes. Without an interface that spreads there is nothing to
 * hand over either. */
static struct group *build_best(int fd, int backlog, bool listening, const char **why, int *error)
{
	struct group *group = NULL;
	const char *mailbox_why;
	int mailbox_error;

	if (choose_is_unique(fd, listening)) {
		*why = "a copy of its keys or policies";
		*error = -EOPNOTSUPP;
	} else {
		group = group_build(fd, backlog, listening, why, error);
	}
	if (group || *error == -ENODEV || *error == -EADDRINUSE || !hands_over())
		return group;
	group = group_build_mailboxes(fd, &mailbox_why, &mailbox_error);
	if (!group && mailbox_error == -ENODEV) {
		*why = mailbox_why;
		*error = mailbox_error;
	}
	if (group)
		log_warn("port %u: %s refused (error %d): its connections come over the common "
			 "queue and are handed over",
			 socket_port(&group->place.address), *why, -*error);
	return group;
}

struct group *choose_joining(int fd, int backlog, bool *built)
{
	struct socket_place place;
	const char *why = "getsockname";
	int error = socket_place(fd, &place);

	for (int i = 0; !error && i < BUILDING_TRIES; i++) {
		struct group *group = group_find(&place);
		if (!group)
			group = door_ask(fd, DOOR_WAIT_MS, &error);
		if (group)
			return group;
		if (error == -ETIMEDOUT)
			return group_await(&place);
		if (error != -ENOENT) {
			why = "the group of another process:";
			break;
		}
		/* Sockets that are in the kernel's group already have indexes we cannot know. */
		if (reuseport_count(&place) != 0) {
			why = "others listen on that address:";
			error = -EADDRINUSE;
			break;
		}
		group = build_best(fd, backlog, false, &why, &error);
		*built = group;
		if (group)
			return group;
		if (error != -EADDRINUSE)
			break;
		error = 0;
		pause_briefly();
	}
	say_unsteered(fd, why, error ? error : -EADDRINUSE);
	return NULL;
}

struct group *choose_new(int fd, int backlog)
{
	const char *why;
	int error;
	struct group *group = build_best(fd, backlog, false, &why, &error);

	if (!group)
		say_unsteered(fd, why, error);
	return group;
}

bool choose_is_bound(int fd)
{
	struct socket_address address;

	return !socket_local(fd, &address) && socket_port(&address);
}

bool choose_is_port_wanted(int fd)
{
	struct socket_address address;
	uint16_t port;

	return !socket_local(fd, &address) && (port = socket_port(&address)) &&
	       policy_port_listed(&runtime_policy()->listen_ports, port);
}

static bool is_of_our_user(int fd)
{
	return socket_owner(fd) == (int)sys(SYS_geteuid);
}

static void say_foreign(int fd)
{
	log_once(LOG_LEVEL_WARN,
		 "a listener belongs to user %d, and the kernel groups sockets of one user only: "
		 "its connections come over the common queue%s",
		 socket_owner(fd), hands_over() ? " and are handed over" : "");
}

/* Members can only be made where the calling thread is. */
static bool is_elsewhere(int fd)
{
	if (!socket_is_elsewhere(fd))
		return false;
	log_once(LOG_LEVEL_WARN,
		 "a listener is in another network name space than the thread that uses it: it is "
		 "not steered");
	return true;
}

const char *choose_against(int fd)
{
	if (!runtime_policy()->listen_steer)
		return "the policy says listen.steer = no";
	if (!choose_is_port_wanted(fd))
		return choose_is_bound(fd) ? "the policy does not list its port"
					   : "it was not bound to a port";
	if (is_elsewhere(fd))
		return "it is in another network name space than the thread that listens";
	if (is_of_our_user(fd))
		return NULL;
	say_foreign(fd);
	return "it belongs to another user";
}

static struct group *build_listening(int fd, const char **why, int *error)
{
	if (is_of_our_user(fd))
		return build_best(fd, SOMAXCONN, true, why, error);
	say_foreign(fd);
	if (hands_over())
		return group_build_mailboxes(fd, why, error);
	*why = "a group with a socket of another user";
	*error = -EPERM;
	return NULL;
}

struct group *choose_for_listening(int fd, bool *asked)
{
	struct socket_place place;
	struct group *here = socket_place(fd, &place) < 0 ? NULL : group_find(&place);

	*asked = here;
	if (here)
		return here; /* another number of a listener, or one that a message brought twice */
	if (is_elsewhere(fd))
		return NULL;
	for (int i = 0; i < ADOPTING_TRIES; i++) {
		const char *why = NULL;
		int error;
		struct group *group = door_ask(fd, DOOR_WAIT_MS, &error);

		*asked = group || error != -ENOENT;
		if (group)
			return group;
		if (error == -ETIMEDOUT)
			return group_await(&place);
		if (error != -ENOENT) {
			say_unsteered(fd, "the group of another process:", error);
			return NULL;
		}
		error = -EADDRINUSE;
		if (socket_get_int(fd, SOL_SOCKET, SO_REUSEPORT, 0) == 0)
			group = build_listening(fd, &why, &error);
		if (group)
			return group;
		if (error != -EADDRINUSE) {
			say_unsteered(fd, why, error);
			return NULL;
		}
		/* Another process that got the socket too may be about to build. */
		pause_briefly();
	}
	return NULL;
}
