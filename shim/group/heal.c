#include "shim/group/heal.h"
#include "shim/group/door.h"
#include "shim/group/listener.h"
#include "shim/group/watch.h"
#include "shim/kernel/log.h"
#include "shim/kernel/reuseport.h"
#include "shim/process/fd_table.h"
#include "shim/stat/stat.h"
#include <errno.h>

/* How often members are looked for: a system call each. */
#define LOOK_MS 400
/* How often at the least one is asked that does not answer. */
#define ASK_MS 1600

struct moving {
	int from, to; /* listeners; to: -1 before the first descriptor was seen */
	bool seen;
};

static void move_descriptor(int fd, uint32_t number, void *argument)
{
	struct moving *moving = argument;

	if ((int)number != moving->from)
		return;
	if (!moving->seen)
		moving->to = listener_adopt(fd);
	else if (moving->to >= 0)
		listener_duplicated(moving->to, fd);
	else
		fd_set_word(fd, FD_PLAIN, 0);
	moving->seen = true;
}

/* Where nobody else listens, no sibling has the members either: then the kernel's side is as it was
 * before there was a group. */
static void restore_reuseport(const struct group *group, const struct listener *listener, int fd)
{
	if (!listener->app_reuseport && reuseport_count(&group->place) == 1)
		socket_set_int(fd, SOL_SOCKET, SO_REUSEPORT, 0);
}

static void replace(struct group *group, int fd)
{
	uint16_t old[LISTENERS_MAX];
	int count = 0;

	for (int i = 0; i < LISTENERS_MAX; i++)
		if (listener_at(i)->in_use && listener_group(i) == group)
			old[count++] = (uint16_t)i;
	for (int i = 0; i < count; i++)
		watch_strip(old[i]);
	group_drop(group);
	for (int i = 0; i < count; i++) {
		struct moving moving = {.from = old[i], .to = -1};
		restore_reuseport(group, listener_at(old[i]), fd);
		fd_for_each(FD_LISTENER, move_descriptor, &moving);
		if (moving.to >= 0)
			listener_at(moving.to)->app_reuseport = listener_at(old[i])->app_reuseport;
		watch_relisten(old[i], moving.to);
		listener_at(old[i])->in_use = 0;
	}
}

static void ask_again(struct group *group, int fd, uint64_t now_ms)
{
	struct group *found;
	int error;

	if (now_ms < group->ask_ms)
		return;
	group->ask_pause_ms = group->ask_pause_ms ? 2 * group->ask_pause_ms : LOOK_MS;
	if (group->ask_pause_ms > ASK_MS)
		group->ask_pause_ms = ASK_MS;
	group->ask_ms = now_ms + group->ask_pause_ms;
	found = door_ask(fd, DOOR_AGAIN_MS, &error);
	if (!found && error == -ETIMEDOUT)
		return;
	replace(group, fd);
	if (!found)
		return;
	group_recount(found);
	group_publish_if_changed(found);
	log_info("port %u: %u members, at last", socket_port(&found->place.address),
		 found->slot_count);
	stat_listener(&found->place.address, found->slot_count, group_way(found));
}

void heal(int listener, int fd, uint64_t now_ms)
{
	struct group *group = listener_group(listener);

	if (listener_known(fd) == listener && socket_cookie(fd) != listener_at(listener)->cookie) {
		listener_leave(fd, listener);
		return;
	}
	if (group_is_awaited(group)) {
		ask_again(group, fd, now_ms);
		return;
	}
	if (now_ms - group->whole_ms < LOOK_MS)
		return;
	group->whole_ms = now_ms;
	if (group_is_whole(group))
		return;
	log_warn("port %u: the application closed descriptors that are not its own: they are made "
		 "anew",
		 socket_port(&group->place.address));
	replace(group, fd);
}
