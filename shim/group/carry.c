#include "shim/group/carry.h"
#include "shim/group/listener.h"
#include "shim/kernel/format.h"
#include "shim/kernel/log.h"
#include "shim/kernel/shared_memory.h"
#include "shim/kernel/sys.h"
#include "shim/learn/teach.h"
#include "shim/process/fd_table.h"
#include "shim/process/own_fd.h"
#include "shim/process/runtime.h"
#include "shim/process/self.h"
#include "shim/stat/stat.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#define CARRY_MAGIC 0x52535343u /* "RSSC" */
/* Descriptors that a service manager passes start here. */
#define FIRST_PASSED 3

/* The manifest: a record a listener, followed by the numbers of its members. Several listeners of
 * one group name the same. It is the same in all versions: what one does not understand it closes.
 */
struct carry_record {
	uint32_t magic, abi;
	int listener, app_reuseport;
	int ledger, door;
	uint32_t members;
};

static void set_close_on_exec(int fd, bool on)
{
	if (fd >= 0)
		sys(SYS_fcntl, fd, F_SETFD, on ? FD_CLOEXEC : 0);
}

static bool stays_open(int fd)
{
	long flags = sys(SYS_fcntl, fd, F_GETFD);

	return flags >= 0 && !(flags & FD_CLOEXEC);
}

static void look_at(int fd, uint32_t value, void *found)
{
	(void)value;
	*(bool *)found |= stays_open(fd) && socket_is_listening(fd);
}

bool carry_leaves_listener(void)
{
	bool found = false;

	fd_for_each(FD_LISTENER, look_at, &found);
	fd_for_each(FD_SOCKET, look_at, &found); /* not steered, but as good a sign */
	return found;
}

static void set_group_close_on_exec(const struct group *group, bool on)
{
	set_close_on_exec(group->ledger_fd, on);
	set_close_on_exec(group->door, on);
	for (unsigned m = 0; m < group->member_count; m++)
		set_close_on_exec(group->member[m], on);
}

static void carry_one(int fd, uint32_t number, void *argument)
{
	struct carried *carried = argument;
	const struct group *group = listener_group((int)number);
	struct carry_record record = {.magic = CARRY_MAGIC,
				      .abi = LEDGER_ABI,
				      .listener = fd,
				      .app_reuseport = listener_at((int)number)->app_reuseport,
				      .ledger = group->ledger_fd,
				      .door = group->door,
				      .members = group->member_count};

	if (!stays_open(fd) || group_is_awaited(group))
		return;
	size_t length = group->member_count * sizeof(int);
	struct iovec parts[] = {{&record, sizeof(record)}, {(void *)group->member, length}};

	if (carried->manifest < 0 &&
	    !shared_memory_fits(GROUPS_MAX * (sizeof(record) + MEMBERS_MAX * sizeof(int))))
		carried->manifest = (int)sys(SYS_memfd_create, "rssshim-carry", MFD_ALLOW_SEALING);
	if (carried->manifest < 0)
		return;
	if (sys(SYS_writev, carried->manifest, parts, 2) == (long)(sizeof(record) + length))
		set_group_close_on_exec(group, false);
}

struct carried carry_out(bool same)
{
	struct carried carried = {.manifest = -1,
				  .counters = same ? stat_descriptor() : -1,
				  .learned = same ? teach_descriptor() : -1};

	fd_for_each(FD_LISTENER, carry_one, &carried);
	sys(SYS_fcntl, carried.manifest, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	set_close_on_exec(carried.counters, false);
	set_close_on_exec(carried.learned, false);
	return carried;
}

bool carry_text(struct carried carried, char text[CARRY_TEXT_MAX])
{
	format_text(text, CARRY_TEXT_MAX, "RSSSHIM_INHERIT=%d:%d:%d", carried.manifest,
		    carried.counters, carried.learned);
	return carried.manifest >= 0 || carried.counters >= 0 || carried.learned >= 0;
}

static void close_again(int fd, uint32_t number, void *unused)
{
	(void)fd;
	(void)unused;
	set_group_close_on_exec(listener_group((int)number), true);
}

void carry_undo(struct carried carried)
{
	set_close_on_exec(carried.counters, true);
	set_close_on_exec(carried.learned, true);
	if (carried.manifest < 0)
		return;
	fd_for_each(FD_LISTENER, close_again, NULL);
	sys(SYS_close, carried.manifest);
}

static void own(int fd)
{
	if (fd < 0 || fd_get(fd).kind == FD_OURS)
		return;
	set_close_on_exec(fd, true);
	own_fd_mark(fd);
}

static void discard(int fd)
{
	if (fd >= 0 && fd_get(fd).kind != FD_OURS)
		sys(SYS_close, fd);
}

static bool is_sound(const struct carry_record *record)
{
	return record->abi == LEDGER_ABI && record->members && record->members <= MEMBERS_MAX &&
	       socket_is_listening(record->listener);
}

static void take_one(const struct carry_record *record, const int *member)
{
	struct socket_place place;
	struct group *group = NULL;

	if (!socket_place(record->listener, &place))
		group = group_find(&place);
	if (!group) {
		own(record->ledger);
		own(record->door);
		for (unsigned m = 0; m < record->members; m++)
			own(member[m]);
		group = group_take(record->ledger, record->door, record->members, member, &place);
	}
	if (group && listener_enter(record->listener, group, record->app_reuseport) >= 0)
		log_info("port %u: took over %u members from the program before",
			 socket_port(&place.address), group->slot_count);
}

/* Takes what can be taken, or closes what was not: members that stayed open would get connections
 * that nobody accepts. */
static void read_records(int manifest, bool take)
{
	struct carry_record record;
	int member[MEMBERS_MAX], fd;

	sys(SYS_lseek, manifest, 0, SEEK_SET);
	while (sys(SYS_read, manifest, &record, sizeof(record)) == sizeof(record) &&
	       record.magic == CARRY_MAGIC) {
		bool wanted = take && is_sound(&record);
		for (unsigned m = 0; m < record.members; m++) {
			if (sys(SYS_read, manifest, &fd, sizeof(fd)) != sizeof(fd))
				return;
			if (wanted)
				member[m] = fd;
			else if (!take)
				discard(fd);
		}
		if (wanted)
			take_one(&record, member);
		if (take)
			continue;
		discard(record.ledger);
		discard(record.door);
	}
}

static void take_all(int manifest)
{
	struct self_guard guard;

	self_lock(&guard);
	if (runtime_on())
		read_records(manifest, true);
	read_records(manifest, false);
	self_unlock(&guard);
	sys(SYS_close, manifest);
}

static bool is_open(int fd)
{
	return sys(SYS_fcntl, fd, F_GETFD) >= 0;
}

static int number_of(char *const *environment, const char *name)
{
	size_t length = strlen(name);

	for (; environment && *environment; environment++)
		if (!strncmp(*environment, name, length) && (*environment)[length] == '=')
			return atoi(*environment + length + 1);
	return 0;
}

/* The variable may have come by way of a program that knows nothing of it and has closed what it
 * names: then the numbers stand for something else. */
static bool take_memory(int fd, bool wanted, void (*inherit)(int fd))
{
	if (!shared_memory_is_sealed(fd))
		return false;
	if (wanted)
		inherit(fd);
	else
		sys(SYS_close, fd);
	return true;
}

void carry_in(const char *inherited, char *const *environment)
{
	int passed = 0, manifest = -1;
	bool told = false;

	if (inherited) {
		const char *counters = strchr(inherited, ':');
		const char *learned = counters ? strchr(counters + 1, ':') : NULL;

		manifest = atoi(inherited);
		if (counters)
			told |= take_memory(atoi(counters + 1), runtime_counts(), stat_inherit);
		if (learned)
			told |= take_memory(atoi(learned + 1), runtime_counts(), teach_inherit);
		told |= shared_memory_is_sealed(manifest);
	}
	if (number_of(environment, "LISTEN_PID") == self_pid())
		passed = number_of(environment, "LISTEN_FDS");
	if (!told && passed <= 0)
		return;
	if (runtime_on())
		runtime_discover();
	if (shared_memory_is_sealed(manifest))
		take_all(manifest);
	/* As many as there are, whatever the variable says. */
	for (int i = 0; runtime_on() && i < passed && is_open(FIRST_PASSED + i); i++)
		listener_of(FIRST_PASSED + i);
}
