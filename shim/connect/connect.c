#include "shim/connect/connect.h"
#include "shim/connect/destination.h"
#include "shim/connect/home.h"
#include "shim/connect/outgoing.h"
#include "shim/connect/pin.h"
#include "shim/connect/witness.h"
#include "shim/kernel/clock.h"
#include "shim/kernel/socket.h"
#include "shim/process/fd_table.h"
#include "shim/process/runtime.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>

/* Linux 5.0 for setting, 5.9 for reading; older headers do not have it. */
#define SO_BINDTOIFINDEX_OPTION 62

/* Reserved ports that are stepped over in one connect, without a system call. */
#define RESERVED_MAX 256

/* What a thread keeps between its connects. */
static __thread struct {
	bool busy; /* inside a choice: a signal handler that connects goes without one */
	uint32_t generation, home_version;
	bool homeless; /* on every uplink */
	struct {
		bool made;
		struct port_target target;
	} aim[UPLINKS_MAX];
	struct port_set set;
} mine;

/* Where one connect is to leave. */
struct way {
	struct uplinks *uplinks;
	struct uplink *uplink;
	struct flow flow;
};

/* A thread has a home where it may run on some of the CPUs that receive, but not on all. */
static bool is_home(const cpu_set_t *allowed, const cpu_set_t *receiving)
{
	cpu_set_t both;

	CPU_AND(&both, allowed, receiving);
	return CPU_COUNT(&both) && !CPU_EQUAL(&both, receiving);
}

static void refresh_aims(const struct uplinks *uplinks, const struct home *home)
{
	if (mine.generation == uplinks->generation && mine.home_version == home->version)
		return;
	/* The set refers to what was filled in place of an older generation. */
	memset(&mine.set, 0, sizeof(mine.set));
	for (unsigned i = 0; i < UPLINKS_MAX; i++)
		mine.aim[i].made = false;
	mine.homeless = true;
	for (unsigned i = 0; i < uplinks->count; i++)
		if (is_home(&home->cpus, &uplinks->uplink[i].cpus))
			mine.homeless = false;
	mine.generation = uplinks->generation;
	mine.home_version = home->version;
}

static const struct port_target *aim_at(const struct way *way, const struct home *home)
{
	unsigned number = (unsigned)(way->uplink - way->uplinks->uplink);

	if (!mine.aim[number].made) {
		port_target_init(&mine.aim[number].target, &way->uplink->ports, &home->cpus);
		mine.aim[number].made = true;
	}
	return &mine.aim[number].target;
}

/* The question to the routing table. False where the application has a port of its own by now. */
static bool ask_about(int fd, uint32_t bits, const struct destination *to,
		      struct route_query *query)
{
	struct socket_address bound;

	memset(query, 0, sizeof(*query));
	query->family = to->flow.family;
	memcpy(query->remote, to->flow.remote, sizeof(query->remote));
	query->bound_to = to->interface;
	if (bits & SOCKET_DEVICE)
		query->bound_to =
			(uint32_t)socket_get_int(fd, SOL_SOCKET, SO_BINDTOIFINDEX_OPTION, 0);
	if (bits & SOCKET_MARK)
		query->mark = (uint32_t)socket_get_int(fd, SOL_SOCKET, SO_MARK, 0);
	if (!(bits & SOCKET_ADDRESS))
		return true;
	return !socket_local(fd, &bound) && !destination_local(&bound.any, query->local);
}

/* Which way the connection will leave, if that is a NIC that ports can be chosen for. */
static bool find_way(int fd, uint32_t bits, const struct destination *to, struct way *way)
{
	struct route_query query;
	struct route_answer answer;

	if (!ask_about(fd, bits, to, &query) || outgoing_route(&query, &answer) || answer.is_local)
		return false;
	way->uplink = uplink_find(way->uplinks, answer.ifindex);
	way->flow = to->flow;
	memcpy(way->flow.local, answer.local, sizeof(way->flow.local));
	return way->uplink && way->uplink->predictable[flow_family(&way->flow)];
}

/* The next port to try; false when there is none. */
static bool choose(const struct way *way, const struct home *home, struct port_choice *choice)
{
	bool chosen = false;

	if (mine.busy)
		return false;
	mine.busy = true;
	refresh_aims(way->uplinks, home);
	if (is_home(&home->cpus, &way->uplink->cpus) &&
	    port_set_init(&mine.set, &way->uplink->arrival, &way->uplink->ports, aim_at(way, home),
			  &way->uplink->range, &way->flow) == PORTS_FOUND) {
		for (int i = 0; !chosen && i < RESERVED_MAX; i++) {
			if (!port_pick_next(outgoing_pick(), &mine.set, &way->flow, choice))
				break;
			chosen = !local_port_reserved(&way->uplinks->local_ports, choice->port);
			if (!chosen)
				port_pick_taken(outgoing_pick(), choice);
		}
	}
	mine.busy = false;
	return chosen;
}

enum outcome { DONE, NONE_FITS, ALL_TAKEN };

/* Tries ports until the kernel takes one. DONE: *result and errno are the application's. */
static enum outcome try_ports(int fd, const struct sockaddr *address, socklen_t length,
			      connect_fn real, const struct way *way, const struct home *home,
			      int *result)
{
	struct port_choice choice = {0};
	enum outcome outcome = NONE_FITS;
	int before = errno;

	for (unsigned tried = 0; tried < runtime_policy()->connect_tries; tried++) {
		if (!choose(way, home, &choice) || pin_port(fd, choice.port))
			break;
		errno = before;
		*result = real(fd, address, length);
		if (*result == 0 || errno != EADDRNOTAVAIL) {
			outcome = DONE;
			break;
		}
		outcome = ALL_TAKEN;
		port_pick_taken(outgoing_pick(), &choice);
	}
	if (choice.port)
		pin_release(fd);
	if (outcome != DONE)
		errno = before;
	return outcome;
}

/* A connect() again on the same socket asks how the first one went, or tries anew after that. */
static bool is_under_way(int fd)
{
	struct tcp_info info;
	socklen_t length = sizeof(info.tcpi_state);

	return !socket_get(fd, IPPROTO_TCP, TCP_INFO, &info, &length) &&
	       info.tcpi_state != TCP_CLOSE;
}

int connect_steered(int fd, const struct sockaddr *address, socklen_t length, uint32_t bits,
		    connect_fn real)
{
	uint64_t now = clock_ms();
	struct way way = {.uplinks = outgoing_uplinks(now)};
	struct destination to;
	int result;

	if (!way.uplinks || bits & (SOCKET_PORT | SOCKET_RANGE) ||
	    !destination_parse(address, length, &to))
		return real(fd, address, length);
	const struct home *home = home_of_thread(now);
	if (mine.homeless && mine.generation == way.uplinks->generation &&
	    mine.home_version == home->version)
		return real(fd, address, length);
	if (bits & SOCKET_CALLED && is_under_way(fd))
		return real(fd, address, length);
	if (!find_way(fd, bits, &to, &way))
		return real(fd, address, length);

	enum outcome outcome = NONE_FITS;
	if (!trust_is_lost(&way.uplink->trust))
		outcome = try_ports(fd, address, length, real, &way, home, &result);
	if (outcome == ALL_TAKEN && runtime_policy()->connect_exhausted == EXHAUSTED_FAIL) {
		errno = EADDRNOTAVAIL;
		return -1;
	}
	if (outcome != DONE)
		result = real(fd, address, length);
	if (result == 0 || errno == EINPROGRESS)
		witness_connected(fd, bits | SOCKET_CALLED, way.uplinks, way.uplink);
	return result;
}
