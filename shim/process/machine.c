#include "shim/process/machine.h"
#include "shim/kernel/netlink.h"
#include "shim/kernel/route.h"
#include "shim/kernel/sys.h"
#include "shim/nic/nic_watch.h"
#include "shim/process/own_fd.h"
#include "shim/process/runtime.h"
#include "shim/process/self.h"
#include "shim/stat/stat.h"
#include <linux/netlink.h>

/* How often what the kernel announces is asked for, and what it does not is looked at. */
#define NEWS_MS 100
#define LOOK_MS 2000

static _Atomic uint32_t epoch; /* process this was made for */
static _Atomic uint64_t due_ms;

/* Changes under self_lock() only. */
static struct {
	uint64_t look_ms;
	bool links_changed; /* since the last look */
	uint32_t nics_version, routes_version;
	struct nic_sources sources;
	struct route_watch news;
	const struct nic_set *nics;
	struct nic_set looked_at[2];
	struct nic_watch watch;
} machine;

static void keep(int *fd)
{
	*fd = own_fd(*fd);
	own_fd_hold(fd);
}

/* An application that closed what it does not know may have closed these. */
static void reopen_if_lost(struct nic_sources *sources)
{
	int *const kept[] = {&sources->proc, &sources->sys, &sources->ioctl};
	struct nic_sources fresh;

	if (sources->proc < 0 || own_fd_is_held(&runtime_sources()->proc))
		return;
	nic_sources_open(&fresh, false);
	*sources = fresh;
	for (unsigned i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		keep(kept[i]);
	sys(SYS_close, fresh.route);
	sys(SYS_close, fresh.generic);
}

/* A netlink socket that came with a fork is its parent's: answers, and news, would go to whichever
 * of the two reads first. The directories and the socket for ioctls can be shared. */
static void begin(uint64_t now_ms)
{
	if (epoch) {
		own_fd_drop(&machine.sources.route);
		own_fd_drop(&machine.sources.generic);
		own_fd_drop(&machine.news.route);
		own_fd_drop(&machine.news.ethtool);
	} else {
		machine.nics = runtime_nics();
		machine.nics_version = machine.routes_version = 1;
	}
	machine.sources = *runtime_sources();
	reopen_if_lost(&machine.sources);
	machine.sources.route = nl_open(NETLINK_ROUTE, 0, false);
	machine.sources.generic = nl_open(NETLINK_GENERIC, 0, false);
	route_watch_open(&machine.news);
	keep(&machine.sources.route);
	keep(&machine.sources.generic);
	keep(&machine.news.route);
	keep(&machine.news.ethtool);
	machine.routes_version++; /* what changed between the fork and now, nobody told */
	machine.look_ms = now_ms + LOOK_MS;
	epoch = self_epoch();
}

static void look(void)
{
	const struct policy *policy = runtime_policy();
	struct nic_set *next = &machine.looked_at[machine.nics == &machine.looked_at[0]];

	if (!machine.links_changed &&
	    !nic_watch_changed(&machine.watch, machine.nics, policy, &machine.sources))
		return;
	machine.links_changed = false;
	nic_scan(next, policy, &machine.sources);
	machine.nics = next;
	machine.nics_version++;
	stat_set_nics(next, &runtime_topology()->online);
}

bool machine_is_due(uint64_t now_ms)
{
	return epoch != self_epoch() || now_ms >= due_ms;
}

void machine_follow(uint64_t now_ms)
{
	if (!machine_is_due(now_ms))
		return;
	/* What is there now may be the application's, and is not for us to read from. */
	if (epoch != self_epoch() ||
	    (machine.news.route >= 0 && !own_fd_is_held(&machine.news.route)))
		begin(now_ms);
	due_ms = now_ms + NEWS_MS;
	bool routes = route_changed(machine.news.route);
	bool rss = route_changed(machine.news.ethtool);

	machine.routes_version += routes;
	machine.links_changed |= routes || rss;
	/* Who changes many routes must not make us look at the NICs each time. */
	if (now_ms < machine.look_ms)
		return;
	look();
	machine.look_ms = now_ms + LOOK_MS;
}

const struct nic_set *machine_nics(void)
{
	return machine.nics;
}

const struct nic_sources *machine_sources(void)
{
	return &machine.sources;
}

uint32_t machine_nics_version(void)
{
	return machine.nics_version;
}

uint32_t machine_routes_version(void)
{
	return machine.routes_version;
}
