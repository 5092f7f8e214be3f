#include "shim/group/listener.h"
#include "shim/group/choose.h"
#include "shim/group/registration.h"
#include "shim/group/watch.h"
#include "shim/kernel/clock.h"
#include "shim/kernel/log.h"
#include "shim/kernel/reuseport.h"
#include "shim/process/fd_table.h"
#include "shim/process/machine.h"
#include "shim/process/runtime.h"
#include "shim/process/self.h"
#include "shim/stat/observe.h"
#include "shim/stat/stat.h"
#include <limits.h>
#include <netinet/in.h>
#include <string.h>

struct listener listener_places[LISTENERS_MAX];

int listener_timeout(int fd)
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
		if (listener_places[i].in_use)
			continue;
		listener_places[i] = (struct listener){.in_use = 1,
						       .group = (uint16_t)group_number(group),
						       .app_reuseport = app_reuseport,
						       .timeout_ms = listener_timeout(fd),
						       .descriptors = 1,
						       .cookie = socket_cookie(fd)};
		group->listeners++;
		/* From now on other threads go by it. */
		if (fd_set_word(fd, FD_LISTENER, (uint32_t)i))
			return i;
		group->listeners--;
		listener_places[i].in_use = 0;
		return -1;
	}
	return -1;
}

int listener_adopt(int fd)
{
	bool app_reuseport = socket_get_int(fd, SOL_SOCKET, SO_REUSEPORT, 0) == 1, asked = false;
	struct group *group = choose_for_listening(fd, &asked);
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

int listener_look(int fd)
{
	if (fd < 0)
		return -1;
	if (runtime_policy()->listen_steer && socket_is_listening(fd) && socket_is_tcp(fd) &&
	    choose_is_port_wanted(fd) && !self_is_borrowed())
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
	if (choose_is_bound(fd))
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
	const char *unwanted = choose_against(fd);
	if (unwanted) {
		observe_listening(fd, unwanted);
		return real_listen(fd, backlog);
	}
	self_lock(&guard);
	machine_catch_up(clock_ms());
	bool app_reuseport = socket_get_int(fd, SOL_SOCKET, SO_REUSEPORT, 0) == 1;
	struct group *group =
		app_reuseport ? choose_joining(fd, backlog, &built) : choose_new(fd, backlog);
	if (group && !ledger_hands_over(group->ledger) && choose_is_unique(fd, false))
		listener_stand_aside(group, false,
				     "one of its listeners has keys or policies of its own");
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
