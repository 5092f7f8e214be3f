/* Options set on a listener, before and after listen(), hold for every connection it accepts. */
#include "tests/behaviour/behaviour.h"
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>

static const struct {
	int level, name, value;
	const char *text;
} options[] = {
	{SOL_SOCKET, SO_KEEPALIVE, 1, "SO_KEEPALIVE"},
	{SOL_SOCKET, SO_OOBINLINE, 1, "SO_OOBINLINE"},
	{SOL_SOCKET, SO_PRIORITY, 3, "SO_PRIORITY"},
	{SOL_SOCKET, SO_MARK, 77, "SO_MARK"},
	{SOL_SOCKET, SO_RCVLOWAT, 11, "SO_RCVLOWAT"},
	{SOL_SOCKET, SO_RCVBUF, 70000, "SO_RCVBUF"},
	{SOL_SOCKET, SO_SNDBUF, 80000, "SO_SNDBUF"},
	{SOL_SOCKET, SO_TIMESTAMP, 1, "SO_TIMESTAMP"},
	{SOL_SOCKET, SO_BUSY_POLL, 1, "SO_BUSY_POLL"},
	{IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY"},
	{IPPROTO_TCP, TCP_CORK, 1, "TCP_CORK"},
	{IPPROTO_TCP, TCP_MAXSEG, 1000, "TCP_MAXSEG"},
	{IPPROTO_TCP, TCP_KEEPIDLE, 33, "TCP_KEEPIDLE"},
	{IPPROTO_TCP, TCP_KEEPINTVL, 34, "TCP_KEEPINTVL"},
	{IPPROTO_TCP, TCP_KEEPCNT, 7, "TCP_KEEPCNT"},
	{IPPROTO_TCP, TCP_SYNCNT, 4, "TCP_SYNCNT"},
	{IPPROTO_TCP, TCP_LINGER2, 9, "TCP_LINGER2"},
	{IPPROTO_TCP, TCP_USER_TIMEOUT, 12345, "TCP_USER_TIMEOUT"},
	{IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16384, "TCP_NOTSENT_LOWAT"},
	{IPPROTO_TCP, TCP_QUICKACK, 0, "TCP_QUICKACK"},
	{IPPROTO_IP, IP_TOS, 0x28, "IP_TOS"},
	{IPPROTO_IP, IP_TTL, 44, "IP_TTL"},
	{IPPROTO_IP, IP_MTU_DISCOVER, 0, "IP_MTU_DISCOVER"},
	{IPPROTO_IP, IP_FREEBIND, 1, "IP_FREEBIND"},
	{IPPROTO_IP, IP_RECVTOS, 1, "IP_RECVTOS"},
	{IPPROTO_IP, IP_TRANSPARENT, 1, "IP_TRANSPARENT"},
};
#define OPTIONS (sizeof(options) / sizeof(options[0]))

static void set_all(int fd)
{
	struct linger linger = {.l_onoff = 1, .l_linger = 5};
	struct timeval timeout = {.tv_sec = 9};

	for (size_t i = 0; i < OPTIONS; i++)
		set_int(fd, options[i].level, options[i].name, options[i].value);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
}

struct seen {
	int value[OPTIONS];
	struct linger linger;
	struct timeval timeout;
	char congestion[16];
};

static struct seen read_all(int fd)
{
	struct seen seen = {0};
	socklen_t length = sizeof(seen.linger);

	for (size_t i = 0; i < OPTIONS; i++)
		seen.value[i] = get_int(fd, options[i].level, options[i].name);
	getsockopt(fd, SOL_SOCKET, SO_LINGER, &seen.linger, &length);
	length = sizeof(seen.timeout);
	getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &seen.timeout, &length);
	length = sizeof(seen.congestion);
	getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, seen.congestion, &length);
	return seen;
}

static struct seen accept_one(int listener, enum way way)
{
	int one = connected(way, port_of(listener));

	CHECK(is_readable(listener, 2000));
	int fd = accept(listener, NULL, NULL);
	NEED(fd >= 0 && is_pair(one, fd));
	struct seen seen = read_all(fd);
	close(fd);
	gone(one);
	return seen;
}

static void is_same(const struct seen *one, const struct seen *other, const char *when)
{
	for (size_t i = 0; i < OPTIONS; i++) {
		/* The route decides over the segment size. */
		if (!CHECK(one->value[i] == other->value[i] || options[i].name == TCP_MAXSEG))
			fprintf(stderr, "%s, set %s: %d, not %d\n", options[i].text, when,
				other->value[i], one->value[i]);
	}
	CHECK(one->linger.l_onoff == other->linger.l_onoff &&
	      one->linger.l_linger == other->linger.l_linger);
	CHECK(one->timeout.tv_sec == other->timeout.tv_sec);
	CHECK(!strcmp(one->congestion, other->congestion));
}

/* Everything a loopback connection got from the listener, the others got too. */
static void holds(bool before, bool watch, const char *when)
{
	int listener = tcp_bound(SOCK_NONBLOCK), epfd = epoll_create1(0);
	struct epoll_event event = {.events = EPOLLIN};

	if (before)
		set_all(listener);
	NEED(!listen(listener, 64));
	if (watch)
		epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event);
	epoll_wait(epfd, &event, 1, 10);
	if (!before)
		set_all(listener);
	struct seen wanted = accept_one(listener, LOOPBACK);
	CHECK(wanted.value[0] == 1 && wanted.linger.l_linger == 5 &&
	      !strcmp(wanted.congestion, "reno"));
	for (enum way way = CPU0; way < WAYS; way++) {
		struct seen seen = accept_one(listener, way);
		is_same(&wanted, &seen, when);
	}
	close(listener);
	close(epfd);
}

static void segment_size(void)
{
	int listener = tcp_bound(SOCK_NONBLOCK);

	set_int(listener, IPPROTO_TCP, TCP_MAXSEG, 1000);
	NEED(!listen(listener, 5));
	for (enum way way = CPU0; way < WAYS; way++) {
		struct seen seen = accept_one(listener, way);
		CHECK(seen.value[11] > 900 && seen.value[11] <= 1000);
	}
	close(listener);
}

/* A filter that drops everything is the listener's: nobody gets in, on either way. */
static void filter(bool before)
{
	struct sock_filter drop[] = {{.code = BPF_RET | BPF_K, .k = 0}};
	struct sock_fprog program = {.len = 1, .filter = drop};
	int listener = tcp_bound(SOCK_NONBLOCK);

	if (before)
		CHECK(!setsockopt(listener, SOL_SOCKET, SO_ATTACH_FILTER, &program,
				  sizeof(program)));
	NEED(!listen(listener, 5));
	if (!before)
		CHECK(!setsockopt(listener, SOL_SOCKET, SO_ATTACH_FILTER, &program,
				  sizeof(program)));
	for (enum way way = LOOPBACK; way < WAYS; way++) {
		pid_t pid = client_later(way, port_of(listener), 0);
		CHECK(!is_readable(listener, 300));
		end_child(pid);
	}
	CHECK(!set_int(listener, SOL_SOCKET, SO_DETACH_FILTER, 0));
	for (enum way way = LOOPBACK; way < WAYS; way++)
		accept_one(listener, way);
	close(listener);
}

/* Accepted only once there is data. */
static void deferred(bool before)
{
	int listener = tcp_bound(SOCK_NONBLOCK);

	if (before)
		CHECK(!set_int(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5));
	NEED(!listen(listener, 5));
	if (!before)
		CHECK(!set_int(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5));
	CHECK(get_int(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT) > 0);
	for (enum way way = LOOPBACK; way < WAYS; way++) {
		int one = connected(way, port_of(listener));
		CHECK(!is_readable(listener, 200));
		CHECK(write(one, "hello", 5) == 5);
		CHECK(is_readable(listener, 2000));
		int fd = accept(listener, NULL, NULL);
		CHECK(fd >= 0 && is_pair(one, fd));
		close(fd);
		gone(one);
	}
	close(listener);
}

static void only_device(bool before)
{
	int listener = tcp_bound(SOCK_NONBLOCK);

	if (before)
		CHECK(!setsockopt(listener, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
	NEED(!listen(listener, 5));
	if (!before)
		CHECK(!setsockopt(listener, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
	CHECK(!is_refused(LOOPBACK, port_of(listener)));
	if (getenv("BEHAVIOUR_PEER")) {
		CHECK(is_refused(CPU0, port_of(listener)));
		CHECK(is_refused(CPU1, port_of(listener)));
	}
	close(listener);
}

/* Only where the clients are in a name space of their own, which this one then is, too. */
static bool allow_fast_open(void)
{
	int fd = getenv("BEHAVIOUR_PEER") ? open("/proc/sys/net/ipv4/tcp_fastopen", O_WRONLY) : -1;

	if (fd < 0)
		return false;
	CHECK(write(fd, "3", 1) == 1);
	close(fd);
	return true;
}

/* Cookies are of the listener's key, whoever gives them, and whoever is shown them: what came in
 * the SYN is there already. */
static void fast_open(bool before)
{
	static const uint8_t key[16] = {1, 2, 3};
	int listener = tcp_bound(SOCK_NONBLOCK);

	if (!allow_fast_open())
		return;
	if (!before)
		NEED(!listen(listener, 64));
	CHECK(!setsockopt(listener, IPPROTO_TCP, TCP_FASTOPEN_KEY, key, sizeof(key)));
	CHECK(!set_int(listener, IPPROTO_TCP, TCP_FASTOPEN, 16));
	if (before)
		NEED(!listen(listener, 64));
	clients_open_fast = true;
	for (int i = 0; i < 6; i++) {
		struct tcp_info info = {0};
		socklen_t length = sizeof(info);
		int one = connected(i % 2 ? CPU1 : CPU0, port_of(listener));
		CHECK(write(one, "hello", 5) == 5);
		CHECK(is_readable(listener, 2000));
		int fd = accept(listener, NULL, NULL);
		NEED(fd >= 0 && is_pair(one, fd));
		CHECK(!getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length));
		/* The first may have had the cookie of another key, or none. */
		CHECK(!i || info.tcpi_options & TCPI_OPT_SYN_DATA);
		close(fd);
		gone(one);
	}
	clients_open_fast = false;
	close(listener);
}

void behaviour(void)
{
	holds(true, true, "before listen()");
	holds(false, true, "after listen()");
	holds(true, false, "before listen(), unwatched");
	holds(false, false, "after listen(), unwatched");
	segment_size();
	filter(true);
	filter(false);
	deferred(true);
	deferred(false);
	only_device(true);
	only_device(false);
	fast_open(true);
	fast_open(false);
}
