#include "shim/group/listener.h"
#include "shim/group/door.h"
#include "shim/group/heal.h"
#include "shim/group/registration.h"
#include "shim/group/watch.h"
#include "shim/kernel/clock.h"
#include "shim/kernel/format.h"
#include "shim/kernel/log.h"
#include "shim/kernel/reuseport.h"
#include "shim/kernel/sys.h"
#include "shim/kernel/uncopyable.h"
#include "shim/process/fd_table.h"
#include "shim/process/machine.h"
#include "shim/process/runtime.h"
#include "shim/process/self.h"
#include "shim/stat/observe.h"
#include "shim/stat/stat.h"
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <string.h>

/* Two instances that start at once: one builds the group, the other waits for it that long. */
#define BUILDING_TRIES   20
#define ADOPTING_TRIES   5
#define BUILDING_WAIT_NS 10000000L

static struct listener listeners[LISTENERS_MAX];

struct listener *listener_at(int number)
{
	return &listeners[number % LISTENERS_MAX];
}

struct group *listener_group(int number)
{
	return group_at(listener_at(number)->group);
}

/* SO_RCVTIMEO in milliseconds; 0 there means for ever. */
static int accept_timeout(int fd)
{
	struct timeval timeout = {0};
	socklen_t length = sizeof(timeout);

	socket_get(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, &length);
	if (!timeout.tv_sec && !timeout.tv_usec)
		return -1;
	int64_t ms = (int64_t)timeout.tv_sec * 1000 + (timeout.tv_usec + 999) / 1000;
	return ms < INT_MAX ? (int)ms : INT_MAX;
}

int listener_enter(int fd, struct group *group, bool app_reuseport)
{
	for (int i = 0; i < LISTENERS_MAX; i++) {
		if (listeners[i].in_use)
			continue;
		listeners[i] = (struct listener){.in_use = 1,
						 .group = (uint16_t)group_number(group),
						 .app_reuseport = app_reuseport,
						 .timeout_ms = accept_timeout(fd),
						 .descriptors = 1,
						 .cookie = socket_cookie(fd)};
		group->listeners++;
		/* From now on other threads go by it. */
		if (fd_set_word(fd, FD_LISTENER, (uint32_t)i))
			return i;
		group->listeners--;
		listeners[i].in_use = 0;
		return -1;
	}
	return -1;
}

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

/* Whether a copy would let through connections that the socket itself would not. */
static bool is_unique(int fd, bool listening)
{
	struct fd_word word = fd_get(fd);

	return (word.kind == FD_SOCKET && word.value & SOCKET_UNIQUE) ||
	       (listening && uncopyable_is(fd));
}

/* For good: all comes over the application's own sockets, as without the shim. */
static void stand_aside(struct group *group, bool own_program, const char *why)
{
	if (atomic_exchange(&group->ledger->stand_aside, 1))
		return;
	if (!own_program)
		group_unsteer(group);
	group_unlisten(group);
	log_warn("port %u: %s, the shim stands aside", socket_port(&group->place.address), why);
}

/* A group, or what comes next: mailboxes. Without an interface that spreads there is nothing to
 * hand over either. */
static struct group *build_best(int fd, int backlog, bool listening, const char **why, int *error)
{
	struct group *group = NULL;
	const char *mailbox_why;
	int mailbox_error;

	if (is_unique(fd, listening)) {
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

/* The group for a socket with SO_REUSEPORT: that of its address in this process or another, else,
 * where it is the first, a new one. */
static struct group *join_or_build(int fd, int backlog, bool listening, bool *built)
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
			return heal_await(&place);
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
		group = build_best(fd, backlog, listening, &why, &error);
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

static struct group *build(int fd, int backlog, bool listening)
{
	const char *why;
	int error;
	struct group *group = build_best(fd, backlog, listening, &why, &error);

	if (!group)
		say_unsteered(fd, why, error);
	return group;
}

static bool is_bound(int fd)
{
	struct socket_address address;

	return !socket_local(fd, &address) && socket_port(&address);
}

static bool is_port_wanted(int fd)
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

/* NULL where nothing speaks against making fd a group. */
static const char *why_unwanted(int fd)
{
	if (!runtime_policy()->listen_steer)
		return "the policy says listen.steer = no";
	if (!is_port_wanted(fd))
		return is_bound(fd) ? "the policy does not list its port"
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

/* The group of a socket that listens already: that of a process which was there before, else a new
 * one. With SO_REUSEPORT set it is the application's own group, or that of a process that does not
 * answer: then there must be no second one. */
static struct group *ask_or_build(int fd, bool *asked)
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
			return heal_await(&place);
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

int listener_adopt(int fd)
{
	bool app_reuseport = socket_get_int(fd, SOL_SOCKET, SO_REUSEPORT, 0) == 1, asked = false;
	struct group *group = ask_or_build(fd, &asked);
	int number = group ? listener_enter(fd, group, app_reuseport && !asked) : -1;

	if (number < 0)
		fd_set_word(fd, FD_PLAIN, 0);
	return number;
}

/* One that listens already, and that this process has not seen before. */
static int adopt(int fd)
{
	struct self_guard guard;

	runtime_discover();
	self_lock(&guard);
	machine_catch_up(clock_ms());
	int number = listener_known(fd); /* another thread may have been first */
	if (number < 0)
		number = listener_adopt(fd);
	self_unlock(&guard);
	return number;
}

int listener_of(int fd)
{
	struct fd_word word = fd_get(fd);

	if (word.kind == FD_LISTENER)
		return (int)word.value;
	if (word.kind != FD_UNKNOWN || fd < 0)
		return -1;
	if (runtime_policy()->listen_steer && socket_is_listening(fd) && socket_is_tcp(fd) &&
	    is_port_wanted(fd) && !self_is_borrowed())
		return adopt(fd);
	if (socket_is_tcp(fd))
		fd_set_word(fd, FD_SOCKET, SOCKET_UNSEEN);
	else
		fd_set_word(fd, FD_PLAIN, 0);
	return -1;
}

void listener_share(int fd, const struct sockaddr *address, socklen_t length)
{
	struct socket_address wanted = {.length = length};
	uint16_t port;

	if (!address || length > sizeof(wanted.storage) || length < sizeof(struct sockaddr_in))
		return;
	memcpy(&wanted.storage, address, length);
	port = socket_port(&wanted);
	if (port && policy_port_listed(&runtime_policy()->listen_ports, port) && socket_is_tcp(fd))
		socket_set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
}

static int listen_again(int number, int fd, int backlog, int (*real_listen)(int, int))
{
	struct group *group = listener_group(number);
	bool was_ended = group->ledger->suspended;
	struct self_guard guard;

	self_lock(&guard);
	/* A port that the kernel chose is lost when listening ends. */
	if (is_bound(fd))
		group_listen(group, backlog);
	int ret = real_listen(fd, backlog);
	if (ret && was_ended)
		group_unlisten(group);
	self_unlock(&guard);
	return ret;
}

int listener_listen(int fd, int backlog, int (*real_listen)(int, int))
{
	int number = listener_known(fd);
	struct self_guard guard;
	bool built = true;

	if (self_is_borrowed())
		return real_listen(fd, backlog);
	if (number >= 0)
		return listen_again(number, fd, backlog, real_listen);
	if (!socket_is_tcp(fd) || socket_is_listening(fd))
		return real_listen(fd, backlog);
	runtime_discover();
	const char *unwanted = why_unwanted(fd);
	if (unwanted) {
		observe_listening(fd, unwanted);
		return real_listen(fd, backlog);
	}
	self_lock(&guard);
	machine_catch_up(clock_ms());
	bool app_reuseport = socket_get_int(fd, SOL_SOCKET, SO_REUSEPORT, 0) == 1;
	struct group *group = app_reuseport ? join_or_build(fd, backlog, false, &built)
					    : build(fd, backlog, false);
	if (group && !ledger_hands_over(group->ledger) && is_unique(fd, false))
		stand_aside(group, false, "one of its listeners has keys or policies of its own");
	int ret = real_listen(fd, backlog);
	if (group && ret < 0 && !group->listeners) {
		group_drop(group);
		if (!app_reuseport)
			socket_set_int(fd, SOL_SOCKET, SO_REUSEPORT, 0);
	} else if (group && !ret) {
		number = listener_enter(fd, group, app_reuseport);
		if (!built || group->listeners > 1)
			group_recount(group);
		group_publish_if_changed(group);
		log_info("port %u: %u members", socket_port(&group->place.address),
			 group->slot_count);
		stat_listener(&group->place.address, group->slot_count, group_way(group));
	}
	self_unlock(&guard);
	return ret;
}

void listener_leave(int fd, int number)
{
	struct listener *listener = listener_at(number);
	struct group *group = listener_group(number);

	fd_forget(fd);
	if (!listener->in_use || --listener->descriptors)
		return;
	watch_forget_listener(number);
	listener->in_use = 0;
	/* Whoever stays must not wait for connections at slots that nobody watches. */
	group_publish_if_changed(group);
	if (--group->listeners == 0)
		group_drop(group);
	else
		registration_recount(group);
}

void listener_close(int fd)
{
	int number = listener_known(fd);
	struct self_guard guard;

	if (number < 0 || self_is_borrowed())
		return;
	self_lock(&guard);
	listener_leave(fd, number);
	self_unlock(&guard);
}

void listener_duplicated(int number, int fd)
{
	if (self_is_borrowed())
		return;
	listener_at(number)->descriptors++;
	fd_set_word(fd, FD_LISTENER, (uint32_t)number);
}

void listener_stopped(int number)
{
	struct group *group = listener_group(number);
	struct self_guard guard;

	self_lock(&guard);
	/* The application's other sockets of that address go on. */
	if (reuseport_count(&group->place) <= (int)group->slot_count)
		group_unlisten(group);
	else
		registration_recount(group);
	self_unlock(&guard);
}

/* Options by which an application steers a group itself. */
static bool is_own_steering(int level, int name)
{
	return level == SOL_SOCKET &&
	       (name == SO_ATTACH_REUSEPORT_CBPF || name == SO_ATTACH_REUSEPORT_EBPF ||
		name == SO_DETACH_REUSEPORT_BPF || name == SO_INCOMING_CPU);
}

void listener_option_set(int number, int fd, int level, int name, const void *value,
			 socklen_t length)
{
	struct group *group = listener_group(number);

	if (level == SOL_SOCKET && name == SO_REUSEPORT) {
		int on = 0;
		memcpy(&on, value, length < sizeof(on) ? length : sizeof(on));
		listener_at(number)->app_reuseport = on;
		/* The group needs it; the application reads back what it set. */
		if (!on && !ledger_hands_over(group->ledger) && !group->ledger->stand_aside)
			socket_set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
		return;
	}
	const char *why = "the application steers its sockets itself";
	struct self_guard guard;
	bool own = is_own_steering(level, name);

	if (!own && group_set_option(group, level, name, value, length))
		why = "an option of its listener cannot be given to others";
	else if (!own)
		why = NULL;
	if (why) {
		self_lock(&guard);
		stand_aside(group, own && name != SO_INCOMING_CPU, why);
		self_unlock(&guard);
		return;
	}
	if (level == SOL_SOCKET && name == SO_RCVTIMEO)
		listener_at(number)->timeout_ms = accept_timeout(fd);
	if (level == SOL_SOCKET && (name == SO_BINDTODEVICE || name == SO_BINDTOIFINDEX_OPTION)) {
		self_lock(&guard);
		socket_place(fd, &group->place);
		self_unlock(&guard);
	}
}

void listener_option_read(int number, int level, int name, void *value, const socklen_t *length)
{
	if (level == SOL_SOCKET && name == SO_REUSEPORT && *length >= sizeof(int)) {
		int on = listener_at(number)->app_reuseport;
		memcpy(value, &on, sizeof(on));
	}
}
