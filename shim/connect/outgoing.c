#include "shim/connect/outgoing.h"
#include "shim/connect/pin.h"
#include "shim/kernel/log.h"
#include "shim/kernel/netlink.h"
#include "shim/kernel/sys.h"
#include "shim/nic/nic_sources.h"
#include "shim/nic/nic_watch.h"
#include "shim/process/fd_table.h"
#include "shim/process/own_fd.h"
#include "shim/process/runtime.h"
#include "shim/process/self.h"
#include <errno.h>
#include <linux/netlink.h>
#include <string.h>

/* How often what the kernel announces is asked for, and what it does not is looked at. */
#define NEWS_MS 100
#define LOOK_MS 2000

/* A filled one is left alone until as many others were filled, two seconds each: longer than a
 * thread can be on its way through a choice, which makes no system call. */
#define FILLINGS 4

static struct uplinks fillings[FILLINGS];
static struct uplinks *_Atomic current; /* NULL: nothing can be steered */
static struct port_pick pick;
static struct route_cache routes;

/* Everything below changes under self_lock() only. */
static _Atomic uint32_t epoch; /* process this was made for */
static _Atomic uint64_t due_ms;
static struct {
	uint64_t look_ms;
	bool links_changed; /* since the last look */
	uint32_t generation;
	bool supported;
	int route, generic;       /* netlink sockets of this process alone */
	struct route_watch watch; /* likewise */
	const struct nic_set *nics;
	struct nic_set looked_at;
	struct nic_watch nic_watch;
	struct local_ports local_ports;
} state;

static void keep(int *fd)
{
	*fd = own_fd(*fd);
	own_fd_hold(fd);
}

static void drop(int fd)
{
	/* Who closes all descriptors by a raw call may have that number by now. */
	if (fd_get(fd).kind == FD_OURS)
		own_fd_close(fd);
}

/* A netlink socket that came with a fork is its parent's: answers, and news, would go to whichever
 * of the two reads first. */
static void open_netlink(void)
{
	if (epoch) {
		drop(state.route);
		drop(state.generic);
		drop(state.watch.route);
		drop(state.watch.ethtool);
	}
	state.route = nl_open(NETLINK_ROUTE, 0, false);
	state.generic = nl_open(NETLINK_GENERIC, 0, false);
	route_watch_open(&state.watch);
	keep(&state.route);
	keep(&state.generic);
	keep(&state.watch.route);
	keep(&state.watch.ethtool);
}

/* The rest are directories and a socket for ioctls, which can be shared. */
static struct nic_sources sources_now(void)
{
	struct nic_sources sources = *runtime_sources();

	sources.route = state.route;
	sources.generic = state.generic;
	return sources;
}

static void begin_pick(void)
{
	uint8_t secret[16] = {0};

	sys(SYS_getrandom, secret, sizeof(secret), 0);
	port_pick_init(&pick, secret);
}

static void publish(void)
{
	struct uplinks *next = &fillings[(state.generation + 1) % FILLINGS];
	const struct uplinks *before = current;
	uint16_t lo, hi;

	if (!uplinks_range(&state.local_ports, &runtime_policy()->connect_range, &lo, &hi)) {
		log_warn("[connect] range has nothing in common with ip_local_port_range %u-%u: "
			 "the ports of outgoing connections are left to the kernel",
			 state.local_ports.lo, state.local_ports.hi);
		current = NULL;
		return;
	}
	if (!before && state.generation)
		before = &fillings[state.generation % FILLINGS];
	uplinks_fill(next, state.nics, &state.local_ports, lo, hi, before);
	next->generation = ++state.generation;
	if (next->count && !state.supported)
		log_once(LOG_LEVEL_WARN, "this kernel has no IP_LOCAL_PORT_RANGE (Linux 6.3): the "
					 "ports of outgoing connections are left to the kernel");
	current = next->count && state.supported ? next : NULL;
}

static void begin(void)
{
	open_netlink();
	begin_pick();
	route_cache_drop(&routes);
	if (!epoch) {
		state.supported = pin_supported();
		state.nics = runtime_nics();
		local_ports_read(&state.local_ports, runtime_sources()->proc);
		publish();
	}
	epoch = self_epoch();
}

/* What nobody announces: interrupts that moved, tables rewritten, the ports' range. */
static void look(void)
{
	static struct local_ports now;
	struct nic_sources sources = sources_now();
	bool changed;

	local_ports_read(&now, sources.proc);
	changed = memcmp(&now, &state.local_ports, sizeof(now)) != 0;
	if (state.links_changed ||
	    nic_watch_changed(&state.nic_watch, state.nics, runtime_policy(), &sources)) {
		nic_scan(&state.looked_at, runtime_policy(), &sources);
		state.nics = &state.looked_at;
		changed = true;
	}
	state.links_changed = false;
	if (!changed)
		return;
	state.local_ports = now;
	publish();
}

static void update(uint64_t now_ms)
{
	bool routes_changed = route_changed(state.watch.route);
	bool rss_changed = route_changed(state.watch.ethtool);

	if (routes_changed)
		route_cache_drop(&routes);
	if (routes_changed || rss_changed)
		state.links_changed = true;
	/* Who changes many routes must not make us look at the NICs each time. */
	if (now_ms < state.look_ms)
		return;
	look();
	state.look_ms = now_ms + LOOK_MS;
}

/* Whether it is this thread's turn to look. */
static bool take_turn(uint64_t now_ms)
{
	uint64_t due = due_ms;

	return now_ms >= due && atomic_compare_exchange_strong(&due_ms, &due, now_ms + NEWS_MS);
}

struct uplinks *outgoing_uplinks(uint64_t now_ms)
{
	bool begun = epoch == self_epoch();
	struct self_guard guard;

	if (__builtin_expect(begun && now_ms < due_ms, 1))
		return current;
	/* A vfork child must not leave its descriptors' numbers in its parent's memory. */
	if (!runtime_nics() || self_is_borrowed() || (begun && !take_turn(now_ms)))
		return current;
	self_lock(&guard);
	if (epoch != self_epoch()) {
		begin();
		state.look_ms = now_ms + LOOK_MS;
	}
	update(now_ms);
	self_unlock(&guard);
	return current;
}

struct uplinks *outgoing_known(void)
{
	return current;
}

int outgoing_route(const struct route_query *query, struct route_answer *answer)
{
	uint32_t generation = route_cache_generation(&routes);
	struct self_guard guard;

	if (route_cache_find(&routes, query, answer))
		return 0;
	self_lock(&guard);
	struct route_asker asker = {.netlink = state.route, .proc = runtime_sources()->proc};
	int error = route_lookup(&asker, query, answer);
	self_unlock(&guard);
	if (!error)
		route_cache_keep(&routes, generation, query, answer);
	return error;
}

struct port_pick *outgoing_pick(void)
{
	return &pick;
}
