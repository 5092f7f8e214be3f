#include "shim/process/machine.h"
#include "shim/kernel/netlink.h"
#include "shim/kernel/route.h"
#include "shim/kernel/sys.h"
#include "shim/learn/nic_learn.h"
#include "shim/learn/teach.h"
#include "shim/nic/nic_watch.h"
#include "shim/process/own_fd.h"
#include "shim/process/runtime.h"
#include "shim/process/self.h"
#include "shim/stat/stat.h"
#include <linux/netlink.h>
#include <string.h>

/* How often what the kernel announces is asked for where nobody waits for it, and what it does not
 * is looked at. */
#define NEWS_MS 100
#define LOOK_MS 2000

/* How often what was learned is gone by anew: it changes with each arrival, at first. */
#define LEARNED_MS 10

static _Atomic uint32_t epoch; /* process this was made for */
static _Atomic uint64_t due_ms;
static _Atomic uint32_t edition; /* of what was learned, as gone by here */
static _Atomic uint64_t edition_ms;

/* Changes under self_lock() only. */
static struct {
	uint64_t look_ms;
	bool links_changed;                            /* since the last look */
	bool attended;                                 /* somebody waits for news */
	_Atomic uint32_t nics_version, routes_version; /* read by anybody */
	struct nic_sources sources;
	struct route_watch news;
	const struct nic_set *found; /* as the kernel and the policy say */
	const struct nic_set *nics;  /* with what was learned */
	struct nic_set looked_at, told[2];
	struct learned learned; /* one at a time */
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
		machine.found = machine.nics = runtime_nics();
		machine.nics_version = machine.routes_version = 1;
	}
	machine.sources = *runtime_sources();
	reopen_if_lost(&machine.sources);
	machine.sources.route = nl_open(NETLINK_ROUTE, 0, false);
	machine.sources.generic = nl_open(NETLINK_GENERIC, 0, false);
	route_watch_open(&machine.news);
	machine.attended = false;
	keep(&machine.sources.route);
	keep(&machine.sources.generic);
	keep(&machine.news.route);
	keep(&machine.news.ethtool);
	machine.routes_version++; /* what changed between the fork and now, nobody told */
	machine.look_ms = now_ms + LOOK_MS;
	epoch = self_epoch();
}

/* What was found, with what was learned; that as told before where it cannot be read just now. */
static void learn(struct nic_view *view)
{
	if (nic_learn(view, &machine.learned))
		return;
	const struct nic_view *before = nic_by_index(machine.nics, view->ifindex);

	if (before && before->learned)
		*view = *before;
}

static void keep_pages(const struct nic_set *found)
{
	uint32_t ifindex[NIC_MAX];

	if (found->missed)
		return;
	for (unsigned i = 0; i < found->count; i++)
		ifindex[i] = found->view[i].ifindex;
	teach_keep(ifindex, found->count);
}

static void tell(void)
{
	struct nic_set *next = &machine.told[machine.nics == &machine.told[0]];
	const struct nic_set *found = machine.found;

	edition = teach_edition();
	next->missed = found->missed;
	next->count = found->count;
	memcpy(next->view, found->view, found->count * sizeof(found->view[0]));
	keep_pages(found);
	for (unsigned i = 0; i < next->count; i++)
		learn(&next->view[i]);
	machine.nics = next;
	machine.nics_version++;
	stat_set_nics(next, &runtime_topology()->online);
}

static bool look(void)
{
	const struct policy *policy = runtime_policy();

	if (!machine.links_changed &&
	    !nic_watch_changed(&machine.watch, machine.found, policy, &machine.sources))
		return false;
	machine.links_changed = false;
	nic_scan(&machine.looked_at, policy, &machine.sources);
	machine.found = &machine.looked_at;
	return true;
}

bool machine_has_learned(uint64_t now_ms)
{
	return edition != teach_edition() && now_ms >= edition_ms;
}

bool machine_is_due(uint64_t now_ms)
{
	return epoch != self_epoch() || now_ms >= due_ms || machine_has_learned(now_ms);
}

static bool follow_kernel(uint64_t now_ms)
{
	if (now_ms < due_ms)
		return false;
	due_ms = now_ms + (machine.attended ? LOOK_MS : NEWS_MS);
	bool routes = route_changed(machine.news.route);
	bool rss = route_changed(machine.news.ethtool);

	machine.routes_version += routes;
	machine.links_changed |= routes || rss;
	/* Who changes many routes must not make us look at the NICs each time. */
	if (now_ms < machine.look_ms)
		return false;
	bool changed = look();
	machine.look_ms = now_ms + LOOK_MS;
	return changed;
}

void machine_follow(uint64_t now_ms)
{
	if (!machine_is_due(now_ms))
		return;
	/* What is there now may be the application's, and is not for us to read from. */
	if (epoch != self_epoch() ||
	    (machine.news.route >= 0 && !own_fd_is_held(&machine.news.route))) {
		begin(now_ms);
		due_ms = 0;
	}
	bool changed = follow_kernel(now_ms);
	bool learned = machine_has_learned(now_ms);

	if (learned)
		edition_ms = now_ms + LEARNED_MS;
	if (changed || learned)
		tell();
}

void machine_news(int fds[2])
{
	fds[0] = machine.news.route;
	fds[1] = machine.news.ethtool;
	machine.attended = true;
}

void machine_noticed(void)
{
	due_ms = 0;
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
