#include "shim/process/machine.h"
#include "shim/kernel/clock.h"
#include "shim/kernel/netlink.h"
#include "shim/kernel/route.h"
#include "shim/kernel/sys.h"
#include "shim/learn/nic_learn.h"
#include "shim/learn/teach.h"
#include "shim/nic/nic_glance.h"
#include "shim/nic/nic_work.h"
#include "shim/process/own_fd.h"
#include "shim/process/runtime.h"
#include "shim/process/self.h"
#include "shim/stat/stat.h"
#include <errno.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/mman.h>

/* How often what the kernel announces is asked for where nobody waits for it, and what it does not
 * is looked at. */
#define NEWS_MS 100
#define LOOK_MS 2000

/* A look that is overdue for so long is not left to those who wait: they may be gone. */
#define LATE_MS 1000

/* Who began to ask drivers and did not end within that time was killed; another one asks. */
#define LEASE_MS 10000

/* How often what was learned is gone by anew: it changes with each arrival, at first. */
#define LEARNED_MS 10

static _Atomic uint32_t epoch; /* process this was made for */
static _Atomic uint64_t due_ms;
static _Atomic uint32_t edition; /* of what was learned, as gone by here */
static _Atomic uint64_t edition_ms;

/* Of all processes of an application; where memory for it was refused, each has its own. */
struct common {
	_Atomic uint64_t scan_ms;  /* when drivers are to be asked again */
	_Atomic uint32_t findings; /* times that something had changed then */
};
static struct common own;
static struct common *common = &own;

/* The netlink socket for routes: an answer goes to whoever reads first. */
static _Atomic int route_in_use;

/* The epoch of the process a thread of which asks drivers, without the lock; 0: none. Until it is
 * back, `sources` and the set it fills are its own. */
static _Atomic uint32_t scanning;

/* Changes under self_lock() only. */
static struct {
	uint64_t look_ms;                              /* when /proc and /sys are looked at */
	uint64_t scanned_ms;                           /* when drivers were asked last, by us */
	_Atomic uint64_t again_ms;                     /* before that, not because of news */
	_Atomic bool stale;                            /* the kernel announced something */
	_Atomic bool attended;                         /* somebody waits for news */
	_Atomic uint32_t findings;                     /* as gone by here */
	_Atomic uint32_t nics_version, routes_version; /* read by anybody */
	uint32_t rules_version;
	struct nic_sources sources;
	struct route_watch news;
	const struct nic_set *found; /* as the kernel and the policy say */
	const struct nic_set *nics;  /* with what was learned */
	struct nic_set looked_at[2], told[2];
	struct learned learned; /* one at a time */
} machine;

/* A scan has that of runtime_sources(). */
static struct nic_work glance_work;

void machine_start(void)
{
	long map = sys(SYS_mmap, NULL, sizeof(*common), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (map > 0)
		common = (struct common *)map;
	machine.scanned_ms = clock_ms();
	common->scan_ms = machine.scanned_ms + LOOK_MS;
}

static bool is_scanning(void)
{
	return scanning == self_epoch();
}

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
	nic_sources_open(&fresh, sources->work, false);
	*sources = fresh;
	for (unsigned i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		keep(kept[i]);
	sys(SYS_close, fresh.route);
	sys(SYS_close, fresh.generic);
}

/* Nobody scans meanwhile. */
static void open_netlink(void)
{
	struct nic_work *work = machine.sources.work;

	machine.sources.route = nl_open(NETLINK_ROUTE, 0, false);
	machine.sources.generic = nl_open(NETLINK_GENERIC, 0, false);
	route_watch_open(&machine.news, (struct nl_buffer){work->answer, sizeof(work->answer)});
	keep(&machine.sources.route);
	keep(&machine.sources.generic);
	keep(&machine.news.route);
	keep(&machine.news.ethtool);
}

static void close_netlink(void)
{
	own_fd_drop(&machine.sources.route);
	own_fd_drop(&machine.sources.generic);
	own_fd_drop(&machine.news.route);
	own_fd_drop(&machine.news.ethtool);
}

/* A netlink socket that came with a fork is its parent's: answers, and news, would go to whichever
 * of the two reads first. The directories and the socket for ioctls can be shared. */
static void begin(uint64_t now_ms)
{
	if (epoch) {
		close_netlink();
	} else {
		machine.found = machine.nics = runtime_nics();
		machine.nics_version = machine.routes_version = 1;
	}
	machine.sources = *runtime_sources();
	reopen_if_lost(&machine.sources);
	open_netlink();
	machine.attended = false;
	machine.routes_version++; /* what changed between the fork and now, nobody told */
	machine.rules_version++;
	route_in_use = 0; /* of a thread that was not forked */
	/* The parent may not have looked since it began. */
	machine.look_ms = now_ms;
	due_ms = now_ms;
	epoch = self_epoch();
}

/* What is there now may be the application's, and is not for us to read from. */
static bool is_lost(const int *fd)
{
	return *fd >= 0 && !own_fd_is_held(fd);
}

static bool has_lost(void)
{
	return is_lost(&machine.news.route) || is_lost(&machine.news.ethtool) ||
	       is_lost(&machine.sources.route) || is_lost(&machine.sources.generic);
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

static struct nic_set *next_set(void)
{
	return &machine.looked_at[machine.found == &machine.looked_at[0]];
}

static bool glance(void)
{
	struct nic_sources sources = machine.sources;
	struct nic_set *next = next_set();

	sources.work = &glance_work;
	if (!nic_glance(next, machine.found, runtime_policy(), &sources))
		return false;
	machine.found = next;
	return true;
}

/* Something changed that only drivers may tell. */
static bool is_scan_called_for(uint64_t now_ms)
{
	return machine.findings != common->findings ||
	       (machine.stale && now_ms >= machine.again_ms);
}

static bool is_scan_due(uint64_t now_ms)
{
	return !is_scanning() && (now_ms >= common->scan_ms || is_scan_called_for(now_ms));
}

/* False: another thread is at it, or asks for a route. */
static bool begin_to_ask(void)
{
	uint32_t other = scanning;
	int free = 0;

	if (other == self_epoch() ||
	    !atomic_compare_exchange_strong(&scanning, &other, self_epoch()))
		return false;
	if (atomic_compare_exchange_strong(&route_in_use, &free, 1))
		return true;
	scanning = 0;
	return false;
}

static void end_asking(void)
{
	route_in_use = 0;
	scanning = 0;
}

/* Of the processes of an application, one. */
static bool is_elected(uint64_t now_ms)
{
	uint64_t due = common->scan_ms;

	return now_ms >= due &&
	       atomic_compare_exchange_strong(&common->scan_ms, &due, now_ms + LEASE_MS);
}

/* All of them hear of it, who has found it already too: once more, in vain. */
static bool take_over(const struct nic_set *next, uint32_t findings)
{
	bool changed = !nic_set_same(next, machine.found);

	machine.findings = findings;
	if (!changed)
		return false;
	if (atomic_compare_exchange_strong(&common->findings, &findings, findings + 1))
		machine.findings = findings + 1;
	machine.found = next;
	return true;
}

/* The kernel may keep us waiting. Returns whether anything changed. */
static bool scan(bool elected)
{
	uint32_t findings = common->findings;
	struct nic_set *next = next_set();

	bool stale = machine.stale;

	machine.stale = false;
	self_pause();
	int found = nic_scan(next, runtime_policy(), &machine.sources);
	self_resume();
	machine.scanned_ms = clock_ms();
	/* Who changes many routes must not make us look at the NICs each time. */
	if (stale)
		machine.again_ms = machine.scanned_ms + LOOK_MS;
	/* Whoever waits for news was at it here, and is not late. */
	if (due_ms < machine.scanned_ms)
		due_ms = machine.scanned_ms;
	if (elected)
		common->scan_ms = machine.scanned_ms + LOOK_MS;
	if (found < 0) {
		machine.findings = findings;
		machine.stale = true; /* what was found before holds until it works */
		machine.again_ms = machine.scanned_ms + LOOK_MS;
		return false;
	}
	return take_over(next, findings);
}

bool machine_has_learned(uint64_t now_ms)
{
	return edition != teach_edition() && now_ms >= edition_ms;
}

bool machine_is_due(uint64_t now_ms, bool waits)
{
	if (epoch != self_epoch() || machine_has_learned(now_ms))
		return true;
	if (!waits && machine.attended)
		return now_ms >= due_ms + LATE_MS;
	return now_ms >= due_ms || is_scan_due(now_ms);
}

static bool may_pass(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM;
}

static bool look(uint64_t now_ms)
{
	if (!begin_to_ask()) {
		machine.look_ms = now_ms + NEWS_MS;
		return false;
	}
	machine.look_ms = now_ms + LOOK_MS;
	/* Then nobody tells, and what is remembered of routes is as good as forgotten. */
	if (machine.news.route < 0) {
		machine.routes_version++;
		machine.rules_version++;
	}
	if (may_pass(machine.news.route)) {
		close_netlink();
		open_netlink();
	}
	bool changed = glance();
	end_asking();
	return changed;
}

static bool follow_kernel(uint64_t now_ms)
{
	bool changed = false;

	if (now_ms >= due_ms) {
		struct route_news news = {0};

		machine.routes_version += route_changed(machine.news.route, &news);
		machine.rules_version += news.rules;
		if (route_changed(machine.news.ethtool, NULL) || news.links)
			machine.stale = true;
		if (now_ms >= machine.look_ms)
			changed = look(now_ms);
		due_ms = machine.attended || machine.look_ms < now_ms + NEWS_MS ? machine.look_ms
										: now_ms + NEWS_MS;
	}
	if (is_scan_due(now_ms) && begin_to_ask()) {
		bool elected = is_elected(now_ms);

		if (elected || is_scan_called_for(now_ms))
			changed |= scan(elected);
		end_asking();
	}
	return changed;
}

void machine_follow(uint64_t now_ms, bool waits)
{
	if (!machine_is_due(now_ms, waits))
		return;
	/* Who asks drivers goes on with what is there. */
	if (epoch != self_epoch() || (!is_scanning() && has_lost()))
		begin(now_ms);
	bool changed = false;
	if (waits || !machine.attended || now_ms >= due_ms + LATE_MS) {
		machine.attended &= waits;
		changed = follow_kernel(now_ms);
	}
	bool learned = machine_has_learned(now_ms);
	if (learned)
		edition_ms = now_ms + LEARNED_MS;
	if (changed || learned)
		tell();
}

void machine_catch_up(uint64_t now_ms)
{
	if (now_ms >= machine.scanned_ms + LOOK_MS)
		machine_follow(now_ms, true);
}

void machine_news(int fds[2])
{
	fds[0] = machine.news.route;
	fds[1] = machine.news.ethtool;
	machine.attended = true;
}

void machine_noticed(void)
{
	due_ms = clock_ms();
}

const struct nic_set *machine_nics(void)
{
	return machine.nics ? machine.nics : runtime_nics();
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

uint32_t machine_rules_version(void)
{
	return machine.rules_version;
}

/* A handler that asks too must not find its own thread at it. */
int machine_route(const struct route_query *query, struct route_answer *answer)
{
	struct route_asker asker = {.proc = machine.sources.proc};
	struct self_guard guard;
	int in_use = 0;

	self_block_signals(&guard);
	bool ours = atomic_compare_exchange_strong(&route_in_use, &in_use, 1);
	asker.netlink = ours ? machine.sources.route : nl_open(NETLINK_ROUTE, 0, false);
	int error = route_lookup(&asker, query, answer);
	if (ours)
		route_in_use = 0;
	else if (asker.netlink >= 0)
		sys(SYS_close, asker.netlink);
	self_allow_signals(&guard);
	return error;
}

static bool is_used_unlocked(int fd)
{
	const struct nic_sources *sources = &machine.sources;

	return epoch == self_epoch() &&
	       (fd == sources->proc || fd == sources->sys || fd == sources->ioctl ||
		fd == sources->route || fd == sources->generic);
}

bool machine_yield(int fd, struct self_guard *guard)
{
	const struct timespec briefly = {.tv_nsec = 50000};

	if (!is_used_unlocked(fd))
		return false;
	self_block_signals(guard);
	while (!begin_to_ask())
		sys(SYS_nanosleep, &briefly, NULL);
	return true;
}

void machine_yielded(const struct self_guard *guard)
{
	end_asking();
	self_allow_signals(guard);
}
