#include "shim/nic/nic_sources.h"
#include "shim/kernel/netlink.h"
#include "shim/kernel/sys.h"
#include "shim/nic/nic_work.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

static int open_directory(const char *path)
{
	return (int)sys(SYS_openat, AT_FDCWD, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* An IPv6-only service may be denied AF_INET; ethtool takes a socket of any family. */
static int open_ioctl(void)
{
	static const int families[] = {AF_INET, AF_INET6, AF_UNIX};
	long fd = -EAFNOSUPPORT;

	for (unsigned i = 0; fd < 0 && i < sizeof(families) / sizeof(families[0]); i++)
		fd = sys(SYS_socket, families[i], SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return (int)fd;
}

void nic_sources_open(struct nic_sources *sources, struct nic_work *work, bool detail)
{
	sources->proc = open_directory("/proc");
	sources->sys = open_directory("/sys");
	sources->ioctl = open_ioctl();
	sources->route = nl_open(NETLINK_ROUTE, 0, false);
	sources->generic = nl_open(NETLINK_GENERIC, 0, false);
	sources->ethtool_family = sources->netdev_family = -ENOENT;
	if (work) {
		struct nl_buffer buffer = {work->answer, sizeof(work->answer)};
		sources->ethtool_family =
			nl_family(sources->generic, buffer, "ethtool", NULL, NULL);
		sources->netdev_family = nl_family(sources->generic, buffer, "netdev", NULL, NULL);
	}
	sources->detail = detail;
	sources->work = work;
}

void nic_sources_close(struct nic_sources *sources)
{
	int *const fds[] = {&sources->proc, &sources->sys, &sources->ioctl, &sources->route,
			    &sources->generic};

	for (unsigned i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (*fds[i] >= 0)
			sys(SYS_close, *fds[i]);
		*fds[i] = -EBADF;
	}
}

/* Linux 5.2: makes a mount of its own that is attached nowhere, so that its ".." is itself. */
#ifndef SYS_open_tree
#define SYS_open_tree 428
#endif
#define TREE_CLONE 1

static void confine(int directory)
{
	long tree = directory < 0 ? -EBADF
				  : sys(SYS_open_tree, directory, "",
					TREE_CLONE | O_CLOEXEC | AT_EMPTY_PATH);

	if (tree < 0)
		return;
	sys(SYS_dup3, tree, directory, O_CLOEXEC);
	sys(SYS_close, tree);
}

void nic_sources_confine(const struct nic_sources *sources)
{
	confine(sources->proc);
	confine(sources->sys);
}
