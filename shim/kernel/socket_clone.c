#include "shim/kernel/socket_clone.h"
#include "shim/kernel/scratch.h"
#include "shim/kernel/sys.h"
#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

/* Linux 5.11; older headers do not have it. */
#ifndef SO_PREFER_BUSY_POLL
#define SO_PREFER_BUSY_POLL 69
#endif

#ifndef TCP_FASTOPEN_NO_COOKIE
#define TCP_FASTOPEN_NO_COOKIE 34
#endif
#ifndef TCP_TX_DELAY
#define TCP_TX_DELAY 37
#endif
#ifndef TCP_RTO_MAX_MS
#define TCP_RTO_MAX_MS 44
#endif
#ifndef TCP_RTO_MIN_US
#define TCP_RTO_MIN_US 45
#endif
#ifndef TCP_DELACK_MAX_US
#define TCP_DELACK_MAX_US 46
#endif
#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif
#ifndef SO_TXREHASH
#define SO_TXREHASH 74
#endif
#ifndef IPV6_FLOWINFO
#define IPV6_FLOWINFO 11
#endif
#ifndef IPV6_FLOWINFO_SEND
#define IPV6_FLOWINFO_SEND 33
#endif
#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif

#define OPTION_BYTES_MAX 128

/* What an accepted connection inherits from its listener (sk_clone), and what decides which
 * connections the listener gets. Read from one socket, written to the other where it differs. */
static const struct {
	int level, name;
} options[] = {
	/* Those that bind() looks at come first. */
	{SOL_SOCKET, SO_REUSEADDR},
	{SOL_SOCKET, SO_BINDTODEVICE},
	{SOL_SOCKET, SO_MARK},
	{IPPROTO_IP, IP_FREEBIND},
	{IPPROTO_IP, IP_TRANSPARENT},
	{IPPROTO_IPV6, IPV6_V6ONLY},
	{IPPROTO_IPV6, IPV6_FREEBIND},
	{IPPROTO_IPV6, IPV6_TRANSPARENT},

	{SOL_SOCKET, SO_KEEPALIVE},
	{SOL_SOCKET, SO_LINGER},
	{SOL_SOCKET, SO_OOBINLINE},
	{SOL_SOCKET, SO_DONTROUTE},
	{SOL_SOCKET, SO_PRIORITY},
	{SOL_SOCKET, SO_RCVLOWAT},
	{SOL_SOCKET, SO_RCVTIMEO},
	{SOL_SOCKET, SO_SNDTIMEO},
	{SOL_SOCKET, SO_TIMESTAMP},
	{SOL_SOCKET, SO_TIMESTAMPNS},
	{SOL_SOCKET, SO_TIMESTAMPING},
	{SOL_SOCKET, SO_TIMESTAMP_NEW},
	{SOL_SOCKET, SO_TIMESTAMPNS_NEW},
	{SOL_SOCKET, SO_TIMESTAMPING_NEW},
	{SOL_SOCKET, SO_PEEK_OFF},
	{SOL_SOCKET, SO_SELECT_ERR_QUEUE},
	{SOL_SOCKET, SO_LOCK_FILTER},
	{SOL_SOCKET, SO_BUSY_POLL},
	{SOL_SOCKET, SO_PREFER_BUSY_POLL},
	{SOL_SOCKET, SO_ZEROCOPY},
	{SOL_SOCKET, SO_MAX_PACING_RATE},
	{SOL_SOCKET, SO_TXREHASH},
	{IPPROTO_IP, IP_TOS},
	{IPPROTO_IP, IP_TTL},
	{IPPROTO_IP, IP_MINTTL},
	{IPPROTO_IP, IP_MTU_DISCOVER},
	{IPPROTO_IP, IP_RECVTOS},
	{IPPROTO_IP, IP_RECVTTL},
	{IPPROTO_IP, IP_RECVERR},
	{IPPROTO_IP, IP_PKTINFO},
	{IPPROTO_IPV6, IPV6_TCLASS},
	{IPPROTO_IPV6, IPV6_UNICAST_HOPS},
	{IPPROTO_IPV6, IPV6_MINHOPCOUNT},
	{IPPROTO_IPV6, IPV6_MTU_DISCOVER},
	{IPPROTO_IPV6, IPV6_RECVERR},
	{IPPROTO_IPV6, IPV6_RECVPKTINFO},
	{IPPROTO_IPV6, IPV6_AUTOFLOWLABEL},
	{IPPROTO_IPV6, IPV6_FLOWINFO},
	{IPPROTO_IPV6, IPV6_FLOWINFO_SEND},
	{IPPROTO_IPV6, IPV6_DONTFRAG},
	{IPPROTO_IPV6, IPV6_RECVHOPLIMIT},
	{IPPROTO_IPV6, IPV6_RECVHOPOPTS},
	{IPPROTO_IPV6, IPV6_RECVRTHDR},
	{IPPROTO_IPV6, IPV6_RECVDSTOPTS},
	{IPPROTO_IPV6, IPV6_RECVTCLASS},
	{IPPROTO_IPV6, IPV6_2292PKTINFO},
	{IPPROTO_IPV6, IPV6_2292HOPOPTS},
	{IPPROTO_IPV6, IPV6_2292DSTOPTS},
	{IPPROTO_IPV6, IPV6_2292RTHDR},
	{IPPROTO_IPV6, IPV6_2292HOPLIMIT},
	{IPPROTO_TCP, TCP_NODELAY},
	{IPPROTO_TCP, TCP_CORK},
	{IPPROTO_TCP, TCP_MAXSEG},
	{IPPROTO_TCP, TCP_CONGESTION},
	{IPPROTO_TCP, TCP_DEFER_ACCEPT},
	{IPPROTO_TCP, TCP_FASTOPEN_KEY},
	{IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE},
	{IPPROTO_TCP, TCP_SYNCNT},
	{IPPROTO_TCP, TCP_LINGER2},
	{IPPROTO_TCP, TCP_WINDOW_CLAMP},
	{IPPROTO_TCP, TCP_USER_TIMEOUT},
	{IPPROTO_TCP, TCP_KEEPIDLE},
	{IPPROTO_TCP, TCP_KEEPINTVL},
	{IPPROTO_TCP, TCP_KEEPCNT},
	{IPPROTO_TCP, TCP_NOTSENT_LOWAT},
	{IPPROTO_TCP, TCP_SAVE_SYN},
	{IPPROTO_TCP, TCP_TX_DELAY},
	{IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS},
	{IPPROTO_TCP, TCP_INQ},
	{IPPROTO_TCP, TCP_RTO_MAX_MS},
	{IPPROTO_TCP, TCP_RTO_MIN_US},
	{IPPROTO_TCP, TCP_DELACK_MAX_US},
};

#define OPTIONS (sizeof(options) / sizeof(options[0]))
_Static_assert(OPTIONS <= 8 * sizeof(((struct socket_difference *)0)->options), "a bit each");

/* *differs: whether there was anything to copy. */
static int copy_option(int from, int to, int level, int name, bool *differs)
{
	char wanted[OPTION_BYTES_MAX] = {0}, has[OPTION_BYTES_MAX] = {0};
	socklen_t length = sizeof(wanted), has_length = sizeof(has);

	/* Unknown to this kernel, or to this family: nothing to copy. */
	if (socket_get(from, level, name, wanted, &length) < 0)
		return 0;
	if (socket_get(to, level, name, has, &has_length) < 0)
		has_length = 0;
	if (length == has_length && !memcmp(wanted, has, length))
		return 0;
	*differs = true;
	return socket_set(to, level, name, wanted, length);
}

/* The kernel doubles what is set. A size beyond the system's limit needs the privileged variant,
 * and a size nobody set must stay unset, or the buffers would no longer grow by themselves. */
static int copy_buffer(int from, int to, int name, int force_name)
{
	int wanted = socket_get_int(from, SOL_SOCKET, name, 0);

	if (wanted == socket_get_int(to, SOL_SOCKET, name, 0))
		return 0;
	int ret = socket_set_int(to, SOL_SOCKET, name, wanted / 2);
	if (!ret && socket_get_int(to, SOL_SOCKET, name, 0) != wanted)
		ret = socket_set_int(to, SOL_SOCKET, force_name, wanted / 2);
	return ret;
}

static int copy_filter(int from, int to)
{
	socklen_t length = 0; /* counted in instructions, not bytes; 0 asks how many there are */
	int ret = socket_get(from, SOL_SOCKET, SO_GET_FILTER, NULL, &length);

	/* An eBPF filter cannot be read back: EACCES, and no clone. */
	if (ret < 0 || !length)
		return ret;
	size_t size = length * sizeof(struct sock_filter);
	struct sock_fprog program = {.len = (unsigned short)length, .filter = scratch_take(size)};
	if (!program.filter)
		return -ENOMEM;
	ret = socket_get(from, SOL_SOCKET, SO_GET_FILTER, program.filter, &length);
	if (!ret)
		ret = socket_set(to, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
	scratch_return(program.filter, size);
	return ret;
}

/* Headers that go into every packet of a connection: of any length, and nobody's habit. */
static int refuse_headers(int from)
{
	static const int names[] = {IPV6_HOPOPTS, IPV6_RTHDRDSTOPTS, IPV6_RTHDR, IPV6_DSTOPTS};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char headers[OPTION_BYTES_MAX];
		socklen_t length = sizeof(headers);
		if (!socket_get(from, IPPROTO_IPV6, names[i], headers, &length) && length)
			return -EOPNOTSUPP;
	}
	return 0;
}

static int copy_listed(int from, int to, struct socket_difference *difference)
{
	int ret = 0;

	for (unsigned i = 0; !ret && i < OPTIONS; i++) {
		uint64_t *word = &difference->options[i / 64], bit = UINT64_C(1) << i % 64;
		bool differs = false;
		if (difference->known && !(*word & bit))
			continue;
		ret = copy_option(from, to, options[i].level, options[i].name, &differs);
		*word |= differs ? bit : 0;
	}
	difference->known = !ret;
	return ret;
}

static int copy_options(int from, int to, struct socket_difference *difference)
{
	int ret = difference->known ? 0 : refuse_headers(from);

	if (!ret)
		ret = copy_filter(from, to);
	if (!ret)
		ret = copy_listed(from, to, difference);
	if (!ret)
		ret = copy_buffer(from, to, SO_SNDBUF, SO_SNDBUFFORCE);
	if (!ret)
		ret = copy_buffer(from, to, SO_RCVBUF, SO_RCVBUFFORCE);
	if (!ret && socket_get_int(from, SOL_SOCKET, SO_BUF_LOCK, 0) !=
			    socket_get_int(to, SOL_SOCKET, SO_BUF_LOCK, 0))
		ret = socket_set_int(to, SOL_SOCKET, SO_BUF_LOCK,
				     socket_get_int(from, SOL_SOCKET, SO_BUF_LOCK, 0));
	/* The queue length of fast open is not inherited with its key. */
	int fast_open = socket_get_int(from, IPPROTO_TCP, TCP_FASTOPEN, 0);
	if (!ret && fast_open > 0)
		ret = socket_set_int(to, IPPROTO_TCP, TCP_FASTOPEN, fast_open);
	return ret;
}

int socket_clone(int like, struct socket_difference *difference)
{
	struct socket_address address;
	int ret = socket_local(like, &address);

	if (ret < 0)
		return ret;
	int clone = (int)sys(SYS_socket, address.any.sa_family,
			     SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	if (clone < 0)
		return clone;
	ret = copy_options(like, clone, difference);
	if (!ret)
		ret = socket_set_int(clone, SOL_SOCKET, SO_REUSEPORT, 1);
	if (!ret)
		ret = (int)sys(SYS_bind, clone, &address.storage, address.length);
	if (!ret)
		return clone;
	sys(SYS_close, clone);
	return ret;
}
