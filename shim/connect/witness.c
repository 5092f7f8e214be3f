#include "shim/connect/witness.h"
#include "shim/connect/established.h"
#include "shim/connect/outgoing.h"
#include "shim/connect/translation.h"
#include "shim/kernel/log.h"
#include "shim/kernel/socket.h"
#include "shim/learn/teach.h"
#include "shim/process/fd_table.h"
#include "shim/process/runtime.h"
#include "shim/stat/stat.h"
#include <errno.h>
#include <sched.h>

/* In the word of a watched socket: number of its uplink, and low bits of the generation. */
#define UPLINK_SHIFT     16
#define UPLINK_NONE      0xfu
#define GENERATION_SHIFT 20
#define GENERATION_MASK  0xfffu

#define LATE_TURNS 7 /* no power of two, as the number of buckets is */

static __thread struct {
	unsigned connects; /* since one was marked */
	unsigned late;     /* by so many more the next one is */
	int fd;            /* the one marked last, to be looked at by the next connect() */
	uint32_t bits;
} mine = {.fd = -1};

static void say(const struct uplink *uplink, enum trust_event event)
{
	if (event != TRUST_SAME)
		stat_trust(uplink->ifindex,
			   event == TRUST_LOST ? arrival_fingerprint(&uplink->arrival) : 0);
	if (event == TRUST_LOST)
		log_warn("%s: connections do not arrive on the CPU that its hash key, table and "
			 "queues say: source ports are not chosen on it until they do%s (see "
			 "rssshim nic %s; a [nic %s] section that is wrong, or RSS switched off)",
			 uplink->name, uplink->may_learn ? ", or it was learned where" : "",
			 uplink->name, uplink->name);
	else if (event == TRUST_REGAINED)
		log_warn("%s: connections arrive where predicted again: source ports are chosen",
			 uplink->name);
}

static void judge(struct uplink *uplink, bool right)
{
	enum trust_event event = trust_note(&uplink->trust, right);

	say(uplink, event);
	if (event == TRUST_LOST && uplink->may_learn)
		teach_disprove(uplink->ifindex, uplink->name, &uplink->arrival);
}

/* The NIC that something was predicted of; NULL where nothing was, or it was looked at anew. */
static struct uplink *uplink_of(uint32_t bits)
{
	struct uplinks *uplinks = outgoing_known();
	unsigned number = bits >> UPLINK_SHIFT & UPLINK_NONE;

	if (!uplinks || number >= uplinks->count ||
	    (uplinks->generation & GENERATION_MASK) != bits >> GENERATION_SHIFT)
		return NULL;
	return &uplinks->uplink[number];
}

/* False where nothing can be said yet. */
static bool look(int fd, uint32_t bits)
{
	struct uplink *uplink = uplink_of(bits);
	struct flow flow;

	if (!established_flow(fd, &flow))
		return false;
	int seen = socket_incoming_cpu(fd);
	if (seen < 0)
		return true;
	stat_seen(STAT_CONNECT, seen, uplink ? uplink->ifindex : 0);
	int predicted = uplink ? arrival_of(&uplink->arrival, &flow).cpu : -1;
	/* What is translated says nothing of the NIC. */
	if (uplink && predicted != seen && (uplink->learns || !trust_is_lost(&uplink->trust)) &&
	    translation_explains(&flow))
		return true;
	if (uplink && uplink->learns)
		teach(uplink->ifindex, uplink->name, &uplink->arrival.hash, &flow, seen,
		      sched_getcpu());
	if (predicted < 0)
		return true;
	stat_predicted(uplink->ifindex, predicted == seen);
	/* Of what was learned the learner is the judge. */
	if (!uplink->learned)
		judge(uplink, predicted == seen);
	return true;
}

void witness_closing(int fd, uint32_t bits)
{
	int before = errno;

	if (mine.fd == fd)
		mine.fd = -1;
	look(fd, bits);
	errno = before;
}

/* The one marked last, if it still is what the number stands for. */
static void look_at_last(void)
{
	struct fd_word word = fd_get(mine.fd);

	if (mine.fd < 0 || word.kind != FD_SOCKET || word.value != mine.bits ||
	    !look(mine.fd, mine.bits))
		return;
	fd_swap(mine.fd, word, FD_SOCKET, mine.bits & ~SOCKET_WATCHED);
	mine.fd = -1;
}

static bool is_predictable(const struct uplink *uplink)
{
	return uplink->predictable[FLOW_IPV4] || uplink->predictable[FLOW_IPV6];
}

/* Every how many connections one is to be looked at. */
static unsigned interval(const struct way *way)
{
	const struct uplink *uplink = way->uplink;

	if (!runtime_on())
		return 1;
	unsigned trusting = uplink && !uplink->learned && is_predictable(uplink)
				    ? trust_interval(&uplink->trust)
				    : STAT_LOOK_EVERY;
	enum flow_family family = flow_family(&way->flow);
	if (!uplink || !(uplink->untold[family] || uplink->learned))
		return trusting;
	unsigned teaching = teach_interval(uplink->ifindex, family);
	return teaching && teaching < trusting ? teaching : trusting;
}

/* Ports are chosen by turns, of one bucket after the other: by looking at every thirty-second,
 * always the same few buckets would be seen. */
static bool is_due(const struct way *way)
{
	unsigned every = interval(way);

	if (++mine.connects < every + (every > 1 ? mine.late : 0))
		return false;
	mine.late = (mine.late + 1) % LATE_TURNS;
	return true;
}

void witness_connected(int fd, const struct way *way, bool news)
{
	const struct uplink *uplink = way->uplink;
	int before = errno;

	look_at_last();
	struct fd_word word = fd_get(fd);
	uint32_t bits = (word.value & (SOCKET_APPLICATION | SOCKET_HELD)) | SOCKET_CALLED;
	if (is_due(way) || news) {
		mine.connects = 0;
		bits |= SOCKET_WATCHED;
		if (uplink)
			bits |= (uint32_t)(uplink - way->uplinks->uplink) << UPLINK_SHIFT |
				way->uplinks->generation << GENERATION_SHIFT;
		else
			bits |= UPLINK_NONE << UPLINK_SHIFT;
		mine.fd = fd;
		mine.bits = bits;
	}
	/* Another thread may have closed it meanwhile. */
	if (word.kind == FD_SOCKET)
		fd_swap(fd, word, FD_SOCKET, bits);
	errno = before;
}
