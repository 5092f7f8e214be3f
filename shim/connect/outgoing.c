#include "shim/connect/outgoing.h"
#include "shim/connect/hold.h"
#include "shim/connect/pin.h"
#include "shim/connect/translation.h"
#include "shim/kernel/log.h"
#include "shim/kernel/random.h"
#include "shim/kernel/route_rules.h"
#include "shim/kernel/sys.h"
#include "shim/process/machine.h"
#include "shim/process/runtime.h"
#include "shim/process/self.h"
#include "shim/stat/stat.h"
#include <errno.h>
#include <string.h>

/* How often the range of ports is read: nobody announces it. */
#define LOOK_MS 2000

/* A filled one is left alone until as many others were filled, two seconds each, or while a NIC is
 * being learned some milliseconds: longer than a thread is on its way through a choice, which makes
 * no system call. One that was kept from running for longer chooses a port of no use. */
#define FILLINGS 8

static struct uplinks fillings[FILLINGS];
static struct uplinks *_Atomic filled;  /* the last; NULL: there is none */
static struct uplinks *_Atomic current; /* the same, NULL: nothing can be steered */
static struct port_pick pick;
static struct route_cache routes;
static _Atomic unsigned held_most;
static _Atomic bool rules_by_port, rules_by_tos;

/* Everything below changes under self_lock() only. */
static _Atomic uint32_t epoch; /* process this was made for */
static struct {
	uint64_t look_ms;
	uint32_t generation;
	_Atomic uint32_t nics_version, routes_version; /* of the machine, as used here */
	uint32_t rules_version;
	bool has_range;            /* the kernel has IP_LOCAL_PORT_RANGE */
	uint16_t said_lo, said_hi; /* of the kernel's range that has nothing to choose from */
	struct local_ports local_ports;
} state;

static void begin_pick(void)
{
	uint8_t secret[RANDOM_SECRET];

	random_secret(secret);
	port_pick_init(&pick, secret);
}

/* Once for a range, however often it is looked at. */
static void say_nothing_left(void)
{
	if (state.said_lo == state.local_ports.lo && state.said_hi == state.local_ports.hi)
		return;
	state.said_lo = state.local_ports.lo;
	state.said_hi = state.local_ports.hi;
	log_warn("[connect] range has nothing in common with ip_local_port_range %u-%u: "
		 "the ports of outgoing connections are left to the kernel",
		 state.local_ports.lo, state.local_ports.hi);
}

static void publish(void)
{
	struct uplinks *next = &fillings[(state.generation + 1) % FILLINGS];
	const struct uplinks *before = current;
	uint16_t lo, hi;

	if (!uplinks_range(&state.local_ports, &runtime_policy()->connect_range, &lo, &hi)) {
		say_nothing_left();
		current = NULL;
		stat_outgoing(STAT_OUTGOING_NO_PORTS);
		return;
	}
	if (!before && state.generation)
		before = &fillings[state.generation % FILLINGS];
	uplinks_fill(next, machine_nics(), &state.local_ports, lo, hi, before);
	next->generation = ++state.generation;
	state.said_lo = state.said_hi = 0;
	held_most = state.has_range ? 0
				    : hold_budget(hi - lo + 1u,
						  (unsigned)CPU_COUNT(&runtime_topology()->online));
	if (CPU_COUNT(&next->cpus) && held_most)
		log_once(LOG_LEVEL_WARN,
			 "this kernel has no IP_LOCAL_PORT_RANGE (Linux 6.3): source ports are "
			 "bound, %u at once in a process, the others left to the kernel",
			 held_most);
	if (next->missed)
		log_once(
			LOG_LEVEL_INFO,
			"%u interfaces more than the %d whose source ports are chosen, or learned: "
			"there they are left to the kernel",
			next->missed, UPLINKS_MAX);
	filled = next;
	current = next->count ? next : NULL;
	stat_outgoing(!CPU_COUNT(&next->cpus) ? STAT_OUTGOING_NO_NIC
		      : state.has_range       ? STAT_OUTGOING_CHOSEN
					      : STAT_OUTGOING_HELD);
}

static void begin(uint64_t now_ms)
{
	begin_pick();
	route_cache_drop(&routes);
	hold_forked();
	if (!epoch) {
		state.has_range = pin_supported(machine_sources()->ioctl);
		local_ports_read(&state.local_ports, machine_sources()->proc);
	}
	state.look_ms = now_ms + LOOK_MS;
}

static bool ports_changed(uint64_t now_ms)
{
	static struct local_ports now;

	if (now_ms < state.look_ms)
		return false;
	state.look_ms = now_ms + LOOK_MS;
	local_ports_read(&now, machine_sources()->proc);
	if (now.lo == state.local_ports.lo && now.hi == state.local_ports.hi &&
	    !memcmp(now.reserved, state.local_ports.reserved, sizeof(now.reserved)))
		return false;
	state.local_ports = now;
	return true;
}

static void follow_rules(void)
{
	struct route_rules rules;

	if (state.rules_version == machine_rules_version())
		return;
	state.rules_version = machine_rules_version();
	route_rules_read(&rules);
	rules_by_port = rules.ports;
	rules_by_tos = rules.tos;
}

static void update(uint64_t now_ms)
{
	machine_follow(now_ms, false);
	if (epoch != self_epoch())
		begin(now_ms);
	if (state.routes_version != machine_routes_version()) {
		follow_rules();
		route_cache_drop(&routes);
		translation_forget();
	}
	state.routes_version = machine_routes_version();
	if (ports_changed(now_ms) || state.nics_version != machine_nics_version())
		publish();
	state.nics_version = machine_nics_version();
	/* Last, or another thread's first connect would find nothing to go by yet. */
	epoch = self_epoch();
}

/* Whether somebody else has followed the machine meanwhile. */
static bool is_current(void)
{
	return state.nics_version == machine_nics_version() &&
	       state.routes_version == machine_routes_version();
}

struct uplinks *outgoing_uplinks(uint64_t now_ms)
{
	struct self_guard guard;

	if (__builtin_expect(
		    epoch == self_epoch() && !machine_is_due(now_ms, false) && is_current(), 1))
		return current;
	/* A vfork child must not leave its descriptors' numbers in its parent's memory. */
	if (!runtime_nics() || self_is_borrowed())
		return current;
	/* What is known serves until somebody else is done. */
	if (epoch != self_epoch())
		self_lock(&guard);
	else if (!self_trylock(&guard))
		return current;
	update(now_ms);
	self_unlock(&guard);
	return current;
}

struct uplinks *outgoing_watched(uint64_t now_ms)
{
	outgoing_uplinks(now_ms);
	return filled;
}

struct uplinks *outgoing_known(void)
{
	return current;
}

int outgoing_route(const struct route_query *query, struct route_answer *answer)
{
	uint32_t generation = route_cache_generation(&routes);

	if (route_cache_find(&routes, query, answer))
		return answer->error;
	int error = machine_route(query, answer);
	if (!error || route_error_lasts(error))
		route_cache_keep(&routes, generation, query, answer);
	return error;
}

bool outgoing_asks_port(void)
{
	return atomic_load_explicit(&rules_by_port, memory_order_relaxed);
}

bool outgoing_asks_tos(void)
{
	return atomic_load_explicit(&rules_by_tos, memory_order_relaxed);
}

unsigned outgoing_held_most(void)
{
	return held_most;
}

struct port_pick *outgoing_pick(void)
{
	return &pick;
}
