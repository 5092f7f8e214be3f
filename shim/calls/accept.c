/* accept and accept4. */
#include "shim/group/accept.h"
#include "shim/calls/descriptor.h"
#include "shim/calls/real.h"
#include "shim/group/deal.h"
#include "shim/group/listener.h"
#include "shim/process/hot.h"
#include "shim/process/pinning.h"
#include "shim/process/runtime.h"
#include "shim/stat/observe.h"

/* accept() and accept4() without flags are the same system call; keeping the application's choice
 * keeps other preloaded libraries' view. */
HOT_CODE static int accept_plain(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	(void)flags;
	return real_accept(fd, address, length);
}

HOT_CODE static int accept_any(int fd, struct sockaddr *address, socklen_t *length, int flags,
			       accept_fn real)
{
	int listener = runtime_on() ? listener_of(fd) : -1;

	if (listener >= 0) {
		pinning_waits(true);
		listener_asked(listener);
	}
	int accepted = listener < 0 ? real(fd, address, length, flags)
				    : accept_from(listener, fd, address, length, flags, real);

	if (accepted >= 0 && listener < 0 && runtime_counts())
		observe_accepted(fd, accepted);
	/* So that nobody asks the kernel whether it listens. */
	if (accepted >= 0 && runtime_on()) {
		descriptor_fresh(accepted);
		fd_set_word(accepted, FD_PLAIN, deal_accepted());
	}
	return accepted;
}

EXPORTED HOT_CODE int accept(int fd, struct sockaddr *address, socklen_t *length)
{
	return accept_any(fd, address, length, 0, accept_plain);
}

EXPORTED HOT_CODE int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	/* Refused by the kernel before it waits. */
	if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC))
		return real_accept4(fd, address, length, flags);
	return accept_any(fd, address, length, flags, real_accept4);
}
