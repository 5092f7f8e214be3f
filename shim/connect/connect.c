#include "shim/connect/connect.h"
#include "shim/connect/aim.h"
#include "shim/connect/hold.h"
#include "shim/connect/outgoing.h"
#include "shim/connect/pin.h"
#include "shim/connect/witness.h"
#include "shim/kernel/clock.h"
#include "shim/kernel/log.h"
#include "shim/kernel/socket.h"
#include "shim/learn/teach.h"
#include "shim/process/fd_table.h"
#include "shim/process/runtime.h"
#include "shim/stat/stat.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

/* A call of the application. */
struct call {
	int fd;
	const struct sockaddr *address;
	socklen_t length;
	connect_fn real;
	uint32_t bits;
	unsigned held_most; /* outgoing_held_most(): 0 where a port can be pinned */
};

/* A connect that no NIC is concerned with. */
#define COUNT_NOTHING STAT_COUNTERS

static int call_real(const struct call *call)
{
	return call->real(call->fd, call->address, call->length);
}

/* A connect() again on the same socket asks how the first one went, or tries anew after that. */
static bool is_under_way(int fd)
{
	struct tcp_info info;
	socklen_t length = sizeof(info.tcpi_state);

	return !socket_get(fd, IPPROTO_TCP, TCP_INFO, &info, &length) &&
	       info.tcpi_state != TCP_CLOSE;
}

/* Why a connect is to be left to the kernel; CONNECT_STEERED where nothing stands in the way. */
static enum stat_counter judge(const struct call *call, const struct destination *to,
			       const struct home *home, struct way *way)
{
	if (way->uplinks && aim_is_homeless(way->uplinks, home))
		return STAT_CONNECT_UNPINNED;
	switch (way_find(call->fd, call->bits, to, way)) {
	case WAY_LOCAL:
		return COUNT_NOTHING;
	case WAY_NONE:
		return STAT_CONNECT_UNROUTED;
	case WAY_UNPREDICTABLE:
		return STAT_CONNECT_UNPREDICTABLE;
	case WAY_BOUND:
		return STAT_CONNECT_BOUND;
	case WAY_FOUND:
		break;
	}
	if (call->bits & (SOCKET_PORT | SOCKET_RANGE)) {
		log_once(LOG_LEVEL_WARN,
			 "%s: connections on source ports that the application chose are left "
			 "alone. To have them aligned, let it name an address only (HAProxy: "
			 "source ADDRESS), and write its ports into [connect] range",
			 way->uplink->name);
		return STAT_CONNECT_BOUND;
	}
	return trust_is_lost(&way->uplink->trust) ? STAT_CONNECT_UNPREDICTABLE
						  : STAT_CONNECT_STEERED;
}

static enum stat_counter counter_of(enum aim aim)
{
	static const enum stat_counter counters[] = {
		[AIM_FOUND] = STAT_CONNECT_STEERED,
		[AIM_HOMELESS] = STAT_CONNECT_UNPINNED,
		[AIM_UNPREDICTABLE] = STAT_CONNECT_UNPREDICTABLE,
		[AIM_UNREACHABLE] = STAT_CONNECT_UNREACHABLE,
		[AIM_NONE] = STAT_CONNECT_EXHAUSTED,
	};

	return counters[aim];
}

/* Has the next connect() of the socket leave on that port. -EADDRINUSE: another one may do. */
static int take_port(const struct call *call, uint16_t port)
{
	return call->held_most ? hold_port(call->fd, port, call->held_most, clock_ms())
			       : pin_port(call->fd, port);
}

/* One port that teaches where it leads, before any that is known to fit: what is known too little
 * of now, all later connects want. False where there is nothing to learn, or the port is taken. */
static bool try_probe(const struct call *call, const struct way *way, int *result)
{
	const struct uplink *uplink = way->uplink;
	enum flow_family family = flow_family(&way->flow);
	int before = errno;

	if (!uplink || !uplink->untold[family] ||
	    call->bits & (SOCKET_PORT | SOCKET_RANGE | SOCKET_CALLED))
		return false;
	uint16_t port = teach_probe(uplink->ifindex, &way->flow, uplink->range.lo, uplink->range.hi,
				    uplink->predictable[family], clock_ms());
	if (!port || local_port_reserved(&way->uplinks->local_ports, port) || take_port(call, port))
		return false;
	*result = call_real(call);
	int after = errno;
	/* What was bound cannot be bound to another port. */
	bool done = *result == 0 || after != EADDRNOTAVAIL || call->held_most;
	if (!call->held_most)
		pin_release(call->fd);
	errno = done ? after : before;
	return done;
}

/* Tries ports until the kernel takes one: CONNECT_STEERED, *result and errno are the
 * application's. */
static enum stat_counter try_ports(const struct call *call, const struct way *way,
				   const struct home *home, int *result)
{
	enum stat_counter became = STAT_CONNECT_EXHAUSTED;
	struct port_choice choice = {0};
	unsigned tries = runtime_policy()->connect_tries, tried;
	int before = errno;
	bool taken = false;

	for (tried = 0; tried < tries; tried++) {
		enum aim aim = aim_next(way, home, &choice);

		if (aim != AIM_FOUND) {
			became = counter_of(aim);
			break;
		}
		int refused = take_port(call, choice.port);
		if (refused == -EADDRINUSE) {
			aim_missed(&choice);
			continue;
		}
		if (refused) {
			became = STAT_CONNECT_REFUSED;
			break;
		}
		taken = true;
		errno = before;
		*result = call_real(call);
		/* What was bound cannot be bound to another port. */
		if (*result == 0 || errno != EADDRNOTAVAIL || call->held_most) {
			became = STAT_CONNECT_STEERED;
			aim_hit(&choice);
			tried++;
			break;
		}
		aim_missed(&choice);
	}
	/* Whatever became of the last choice: the kernel's own would be among the pinned port only.
	 */
	if (taken && !call->held_most)
		pin_release(call->fd);
	stat_add(STAT_CONNECT_TRIES, tried);
	if (became == STAT_CONNECT_STEERED)
		return became;
	errno = before;
	/* A signal handler that got no choice at all has exhausted nothing. */
	if (became == STAT_CONNECT_EXHAUSTED && tried &&
	    runtime_policy()->connect_exhausted == EXHAUSTED_FAIL) {
		errno = EADDRNOTAVAIL;
		*result = -1;
	} else {
		*result = call_real(call);
	}
	return became;
}

/* The same without touching anything. */
static enum stat_counter observe(const struct call *call, const struct way *way,
				 const struct home *home, int *result)
{
	struct port_choice choice = {0};
	enum aim aim = aim_next(way, home, &choice);

	*result = call_real(call);
	return counter_of(aim);
}

/* Made to learn from, or a flow that nothing is known of by a NIC that was learned. */
static bool is_news(const struct way *way, enum stat_counter became)
{
	return became == STAT_CONNECT_PROBED ||
	       (became == STAT_CONNECT_UNPREDICTABLE && way->uplink && way->uplink->learned &&
		way->uplink->predictable[flow_family(&way->flow)]);
}

static void note_called(int fd)
{
	struct fd_word word = fd_get(fd);

	if (word.kind == FD_SOCKET)
		fd_swap(fd, word, FD_SOCKET, word.value | SOCKET_CALLED);
}

int connect_steered(int fd, const struct sockaddr *address, socklen_t length, uint32_t bits,
		    connect_fn real)
{
	struct destination to;

	if (!destination_parse(address, length, &to) || bits & SOCKET_HELD)
		return real(fd, address, length);
	struct call call = {fd, address, length, real, bits, 0};
	uint64_t now = clock_ms();
	bool again = bits & SOCKET_CALLED;
	struct way way = {0};
	int result = -1;

	way.uplinks = outgoing_uplinks(now);
	uint32_t generation = way.uplinks ? way.uplinks->generation : 0;
	call.held_most = outgoing_held_most();
	const struct home *home = home_of_thread(now);
	enum stat_counter became = judge(&call, &to, home, &way);

	if (became == STAT_CONNECT_STEERED && again) {
		if (is_under_way(fd))
			return call_real(&call);
		again = false;
	}
	if ((became == STAT_CONNECT_STEERED || became == STAT_CONNECT_UNPREDICTABLE) &&
	    runtime_on() && try_probe(&call, &way, &result))
		became = STAT_CONNECT_PROBED;
	else if (became != STAT_CONNECT_STEERED)
		result = call_real(&call);
	else if (runtime_on())
		became = try_ports(&call, &way, home, &result);
	else
		became = observe(&call, &way, home, &result);
	if (became == COUNT_NOTHING || again)
		return result;
	stat_count(became);
	/* What a signal interrupts goes on. */
	if (result && errno != EINPROGRESS && errno != EINTR) {
		note_called(fd);
		return result;
	}
	/* A call that waited for long: what it went by has given its room to something else. */
	if (way.uplinks && way.uplinks->generation != generation)
		way.uplink = NULL;
	witness_connected(fd, &way, is_news(&way, became));
	return result;
}
