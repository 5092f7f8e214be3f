/* Options of listeners: what the application sets and reads back, and what is made of it. */
#include "shim/group/listener.h"
#include "shim/kernel/log.h"
#include "shim/process/self.h"
#include "shim/stat/stat.h"
#include <string.h>

void listener_stand_aside(struct group *group, bool own_program, const char *why)
{
	if (atomic_exchange(&group->ledger->stand_aside, 1))
		return;
	if (!own_program)
		group_unsteer(group);
	group_unlisten(group);
	log_warn("port %u: %s, the shim stands aside", socket_port(&group->place.address), why);
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
		listener_stand_aside(group, own && name != SO_INCOMING_CPU, why);
		self_unlock(&guard);
		return;
	}
	if (level == SOL_SOCKET && name == SO_RCVTIMEO)
		listener_at(number)->timeout_ms = listener_timeout(fd);
	if (level == SOL_SOCKET && (name == SO_BINDTODEVICE || name == SO_BINDTOIFINDEX_OPTION)) {
		self_lock(&guard);
		socket_place(fd, &group->place);
		self_unlock(&guard);
	}
}

void listener_option_read(int number, int level, int name, void *value, const socklen_t *length)
{
	if (level == SOL_SOCKET && name == SO_REUSEPORT) {
		int on = listener_at(number)->app_reuseport;
		memcpy(value, &on, *length < sizeof(on) ? *length : sizeof(on));
	}
}
