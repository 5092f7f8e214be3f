#include "shim/stat/observe.h"
#include "shim/connect/arrived.h"
#include "shim/kernel/clock.h"
#include "shim/kernel/socket.h"
#include "shim/process/fd_table.h"
#include "shim/process/machine.h"
#include "shim/process/runtime.h"
#include "shim/process/self.h"
#include "shim/stat/stat.h"

/* In observe mode nothing else looks at a socket that arrived unseen (socket activation, exec). */
static bool is_tcp(int fd)
{
	struct fd_word word = fd_get(fd);

	if (word.kind == FD_UNKNOWN) {
		word.kind = socket_is_tcp(fd) ? FD_SOCKET : FD_PLAIN;
		fd_set_word(fd, word.kind, word.kind == FD_SOCKET ? SOCKET_UNSEEN : 0);
	}
	return word.kind == FD_SOCKET;
}

void observe_listening(int fd, const char *why)
{
	struct socket_address address;

	if (!is_tcp(fd))
		return;
	runtime_discover();
	if (!socket_local(fd, &address))
		stat_listener(&address, 0, why);
}

/* Where packets may arrive changes in observe mode too, and there is nobody else to look. */
static void follow_machine(void)
{
	uint64_t now_ms = clock_ms();
	struct self_guard guard;

	if (!machine_is_due(now_ms, false) || self_is_borrowed() || !runtime_nics())
		return;
	self_lock(&guard);
	machine_follow(now_ms, false);
	self_unlock(&guard);
}

void observe_accepted(int fd, int accepted)
{
	if (!is_tcp(fd))
		return;
	runtime_discover();
	follow_machine();
	stat_count(STAT_ACCEPT_UNSTEERED);
	stat_arrived(STAT_ACCEPT, accepted, 0);
	arrived(accepted);
}
