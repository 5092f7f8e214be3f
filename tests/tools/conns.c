/* conns: opens TCP connections from several source addresses, checks what comes back on each, and
 * counts every way it can fail.
 *
 * Hold (the default): opens --count connections, exchanges once on each, prints the counts as one
 * line of JSON and holds them open. A line on standard input asks for another exchange on each and
 * another line of counts; the end of input or a signal ends it.
 *
 * Churn (--churn SECONDS): connections opened, used and closed, over and over; prints the counts at
 * the end.
 *
 * An exchange is an HTTP request that must be answered by 200 (--request PATH), or, with
 * --numbered, the line "NUMBER LOCAL-ADDRESS\n" that must come back as it was sent: a server that
 * answers with the number it read and the peer address accept() gave it proves that both belong
 * together. With neither there is none. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 18000, SOURCES_MAX = 64, BUFFER = 4096 };

/* How a connection or an exchange ends. Only OK is good; STALE is the server's right: it closed a
 * kept-alive connection before it saw the next request. */
enum outcome { OK, REFUSED, RESET, TIMEOUT, SHORT, BAD, LOCAL, STALE, OUTCOMES };
static const char *const outcome_names[] = {
	"ok",    "refused", "reset", "timeout", "short", /* closed before the whole answer */
	"bad",                                           /* an answer, but not the right one */
	"local", /* this side could not: no port, no descriptor, no route */
	"stale",
};

enum state { IDLE, CONNECTING, EXCHANGING, DRAINING, HELD };

struct connection {
	int fd;
	enum state state;
	unsigned int number, exchanges; /* done on this connection */
	uint64_t deadline;              /* us */
	size_t sent, to_send, received;
	char out[256];
	char in[BUFFER];
};

static struct {
	struct sockaddr_storage to, from[SOURCES_MAX];
	socklen_t length;
	unsigned int sources, count, concurrency, requests;
	double churn, timeout;
	const char *path, *host;
	bool numbered;
} opt = {.count = 1, .concurrency = 64, .requests = 1, .timeout = 5};

static struct connection *connections;
static unsigned int slots, opened, active;
static unsigned long counts[OUTCOMES], exchanges_done;
static int epoll_fd;
static volatile sig_atomic_t stop;

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000ull + t.tv_nsec / 1000;
}

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
	va_list args;

	fputs("conns: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(2);
}

static enum outcome outcome_of(int error)
{
	switch (error) {
	case ECONNREFUSED:
		return REFUSED;
	case ECONNRESET:
	case EPIPE:
		return RESET;
	case ETIMEDOUT:
		return TIMEOUT;
	default:
		return LOCAL;
	}
}

/* --- one connection ---------------------------------------------------------------------- */

static void watch(struct connection *c, int operation, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = c};

	if (epoll_ctl(epoll_fd, operation, c->fd, &event))
		die("epoll_ctl: %s", strerror(errno));
}

static void finish(struct connection *c, enum outcome outcome)
{
	counts[outcome]++;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->state = IDLE;
	active--;
}

/* An exchange is over and the connection stays. */
static void hold(struct connection *c)
{
	counts[OK]++;
	active--;
	c->state = HELD;
	watch(c, EPOLL_CTL_MOD, 0);
}

static void address_format(const struct sockaddr_storage *a, char *out, size_t size)
{
	char ip[INET6_ADDRSTRLEN] = "?";
	int port = ntohs(((const struct sockaddr_in *)a)->sin_port);

	if (a->ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)a)->sin6_addr, ip, sizeof(ip));
		snprintf(out, size, "[%s]:%d", ip, port);
	} else {
		inet_ntop(AF_INET, &((const struct sockaddr_in *)a)->sin_addr, ip, sizeof(ip));
		snprintf(out, size, "%s:%d", ip, port);
	}
}

static bool exchanging(void)
{
	return opt.path || opt.numbered;
}

/* Whether the server will close after this exchange: it was asked to. */
static bool last_request(const struct connection *c)
{
	return opt.churn > 0 && c->exchanges + 1 >= opt.requests;
}

static void start_exchange(struct connection *c)
{
	c->sent = c->received = 0;
	c->deadline = now_us() + opt.timeout * 1e6;
	if (opt.numbered) {
		struct sockaddr_storage local;
		socklen_t length = sizeof(local);
		char text[64];

		if (getsockname(c->fd, (struct sockaddr *)&local, &length)) {
			finish(c, LOCAL);
			return;
		}
		address_format(&local, text, sizeof(text));
		c->to_send = snprintf(c->out, sizeof(c->out), "%u %s\n", c->number, text);
	} else {
		c->to_send = snprintf(c->out, sizeof(c->out),
				      "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", opt.path, opt.host,
				      last_request(c) ? "Connection: close\r\n" : "");
	}
	c->state = EXCHANGING;
	watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
}

static void established(struct connection *c)
{
	if (exchanging())
		start_exchange(c);
	else if (opt.churn > 0)
		finish(c, OK);
	else
		hold(c);
}

static void open_connection(struct connection *c)
{
	const struct sockaddr_storage *from = opt.sources ? &opt.from[opened % opt.sources] : NULL;
	int one = 1;

	c->number = opened++;
	c->exchanges = 0;
	c->state = CONNECTING;
	c->deadline = now_us() + opt.timeout * 1e6;
	active++;
	c->fd = socket(opt.to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0) {
		finish(c, LOCAL);
		return;
	}
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	/* Without it bind() takes the port for all destinations, and a churn runs out of them. */
	setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	if ((from && bind(c->fd, (const struct sockaddr *)from, opt.length)) ||
	    (connect(c->fd, (const struct sockaddr *)&opt.to, opt.length) &&
	     errno != EINPROGRESS)) {
		finish(c, outcome_of(errno));
		return;
	}
	watch(c, EPOLL_CTL_ADD, EPOLLOUT);
}

/* Whether what was received is the whole answer: OK, BAD, or SHORT while more must come. */
static enum outcome answer(const struct connection *c)
{
	const char *head_end, *length;

	if (opt.numbered) {
		if (c->received < c->to_send)
			return memcmp(c->in, c->out, c->received) ? BAD : SHORT;
		return c->received > c->to_send || memcmp(c->in, c->out, c->to_send) ? BAD : OK;
	}
	head_end = strstr(c->in, "\r\n\r\n");
	if (!head_end)
		return c->received >= BUFFER - 1 ? BAD : SHORT;
	length = strcasestr(c->in, "\r\nContent-Length:");
	if (strncmp(c->in, "HTTP/1.1 200 ", 13) || !length || length > head_end)
		return BAD;
	/* A body longer than the buffer would need counting; the servers of the tests have none. */
	if (strtoul(length + 17, NULL, 10) > (size_t)(c->in + c->received - (head_end + 4)))
		return c->received >= BUFFER - 1 ? BAD : SHORT;
	return OK;
}

static void exchange_done(struct connection *c)
{
	exchanges_done++;
	c->exchanges++;
	if (opt.churn <= 0)
		hold(c);
	else if (c->exchanges < opt.requests)
		start_exchange(c);
	else if (opt.numbered)
		finish(c, OK);
	else
		c->state = DRAINING; /* the server closes: a reset now is a failure, too */
}

static void receive(struct connection *c)
{
	ssize_t n = recv(c->fd, c->in + c->received, BUFFER - 1 - c->received, 0);

	if (n < 0) {
		if (errno != EAGAIN)
			finish(c, c->exchanges && !c->received ? STALE : outcome_of(errno));
		return;
	}
	if (n == 0) {
		finish(c, c->state == DRAINING ? OK : c->exchanges && !c->received ? STALE : SHORT);
		return;
	}
	c->received += n;
	c->in[c->received] = 0;
	if (c->state == DRAINING) {
		finish(c, BAD);
		return;
	}
	switch (answer(c)) {
	case OK:
		exchange_done(c);
		break;
	case BAD:
		finish(c, BAD);
		break;
	default:
		break;
	}
}

static void progress(struct connection *c, uint32_t events)
{
	if (c->state == CONNECTING) {
		int error = 0;
		socklen_t length = sizeof(error);

		getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &length);
		if (error)
			finish(c, outcome_of(error));
		else
			established(c);
		return;
	}
	if (c->state == HELD) { /* only errors and hang-ups are told */
		watch(c, EPOLL_CTL_DEL, 0);
		return;
	}
	if (events & EPOLLOUT && c->sent < c->to_send) {
		ssize_t n = send(c->fd, c->out + c->sent, c->to_send - c->sent, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN) {
			finish(c, c->exchanges ? STALE : outcome_of(errno));
			return;
		}
		c->sent += n > 0 ? n : 0;
		if (c->sent == c->to_send)
			watch(c, EPOLL_CTL_MOD, EPOLLIN);
	}
	if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
		receive(c);
}

/* --- the loop ---------------------------------------------------------------------------- */

static void turn(int wait_ms)
{
	static uint64_t swept;
	struct epoll_event events[256];
	int n = epoll_wait(epoll_fd, events, 256, wait_ms);
	uint64_t now = now_us();

	for (int i = 0; i < n; i++)
		progress(events[i].data.ptr, events[i].events);
	if (now < swept + 50000)
		return;
	swept = now;
	for (unsigned int i = 0; i < slots; i++) {
		struct connection *c = &connections[i];

		if (c->state != IDLE && c->state != HELD && c->deadline < now)
			finish(c, TIMEOUT);
	}
}

static void print_counts(double seconds)
{
	unsigned long held = 0;

	for (unsigned int i = 0; i < slots; i++)
		held += connections[i].state == HELD;
	printf("{");
	for (int i = 0; i < OUTCOMES; i++)
		printf("\"%s\":%lu,", outcome_names[i], counts[i]);
	printf("\"failed\":%lu,\"held\":%lu,\"opened\":%u,\"exchanges\":%lu,\"seconds\":%.3f}\n",
	       counts[REFUSED] + counts[RESET] + counts[TIMEOUT] + counts[SHORT] + counts[BAD] +
		       counts[LOCAL],
	       held, opened, exchanges_done, seconds);
	fflush(stdout);
}

/* What a held connection did while nobody looked (closed by the server, reset) shows in the next
 * exchange, as it would for a client that reuses a connection. */
static void exchange_again(void)
{
	memset(counts, 0, sizeof(counts));
	for (unsigned int i = 0; i < slots; i++) {
		struct connection *c = &connections[i];

		if (c->state != HELD)
			continue;
		/* It may have been taken out of the set by a hang-up. */
		epoll_ctl(epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
		watch(c, EPOLL_CTL_ADD, 0);
		active++;
		c->exchanges = 0;
		start_exchange(c);
	}
}

static void hold_all(void)
{
	uint64_t start = now_us();
	char input[64];

	for (;;) {
		ssize_t n;

		while (!stop && (opened < slots || active)) {
			while (opened < slots && active < opt.concurrency)
				open_connection(&connections[opened]);
			turn(10);
		}
		if (stop)
			return;
		print_counts((now_us() - start) / 1e6);
		n = read(STDIN_FILENO, input, sizeof(input));
		if (n <= 0 || !exchanging())
			return;
		start = now_us();
		exchange_again();
	}
}

static void churn(void)
{
	uint64_t start = now_us(), end = start + opt.churn * 1e6;

	while (!stop && now_us() < end) {
		for (unsigned int i = 0; i < slots; i++)
			if (connections[i].state == IDLE)
				open_connection(&connections[i]);
		turn(10);
	}
	/* What is under way ends by itself or by its deadline. */
	while (active)
		turn(10);
	print_counts((now_us() - start) / 1e6);
}

/* --- options ----------------------------------------------------------------------------- */

__attribute__((noreturn)) static void bad_usage(void)
{
	fputs("usage: conns --to ADDRESS:PORT [OPTION]...\n"
	      "  --from A,B,..      source addresses, in turn\n"
	      "  --count N          connections to open and hold (1)\n"
	      "  --churn SECONDS    instead: open, use and close, over and over\n"
	      "  --requests K       .. with so many exchanges on each (1)\n"
	      "  --concurrency C    so many at a time being opened or in an exchange (64)\n"
	      "  --request PATH     an exchange is an HTTP request\n"
	      "  --numbered         an exchange is the connection's number and address, echoed\n"
	      "  --timeout SECONDS  for connecting, and for an exchange (5)\n",
	      stderr);
	exit(2);
}

static double number(const char *text, double least, double most)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= least && value <= most))
		bad_usage();
	return value;
}

/* ADDRESS or ADDRESS:PORT or [ADDRESS]:PORT, numeric. */
static socklen_t parse_address(const char *text, bool with_port, struct sockaddr_storage *out)
{
	const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
				       .ai_socktype = SOCK_STREAM};
	struct addrinfo *found;
	char host[64], *port = NULL;
	socklen_t length;

	snprintf(host, sizeof(host), "%s", text + (*text == '['));
	if (with_port) {
		port = strrchr(host, ':');
		if (!port)
			bad_usage();
		*port++ = 0;
	}
	host[strcspn(host, "]")] = 0;
	if (getaddrinfo(host, port, &hints, &found))
		die("%s: no numeric address", text);
	length = found->ai_addrlen;
	memcpy(out, found->ai_addr, length);
	freeaddrinfo(found);
	return length;
}

static void parse_sources(char *text)
{
	for (char *save, *one = strtok_r(text, ",", &save); one; one = strtok_r(NULL, ",", &save)) {
		if (opt.sources == SOURCES_MAX)
			die("--from: at most %d", SOURCES_MAX);
		parse_address(one, false, &opt.from[opt.sources++]);
	}
}

static void parse_options(int argc, char **argv)
{
	static const struct option options[] = {
		{"to", required_argument, NULL, 't'},
		{"from", required_argument, NULL, 'f'},
		{"count", required_argument, NULL, 'n'},
		{"churn", required_argument, NULL, 'c'},
		{"requests", required_argument, NULL, 'k'},
		{"concurrency", required_argument, NULL, 'C'},
		{"request", required_argument, NULL, 'r'},
		{"numbered", no_argument, NULL, 'N'},
		{"timeout", required_argument, NULL, 'w'},
		{0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 't':
			opt.length = parse_address(optarg, true, &opt.to);
			opt.host = optarg;
			break;
		case 'f':
			parse_sources(optarg);
			break;
		case 'n':
			opt.count = number(optarg, 1, CONNECTIONS_MAX);
			break;
		case 'c':
			opt.churn = number(optarg, 0.1, 600);
			break;
		case 'k':
			opt.requests = number(optarg, 1, 1e6);
			break;
		case 'C':
			opt.concurrency = number(optarg, 1, CONNECTIONS_MAX);
			break;
		case 'r':
			opt.path = optarg;
			break;
		case 'N':
			opt.numbered = true;
			break;
		case 'w':
			opt.timeout = number(optarg, 0.01, 600);
			break;
		default:
			bad_usage();
		}
	}
	if (optind != argc || !opt.length || (opt.path && opt.numbered))
		bad_usage();
	for (unsigned int i = 0; i < opt.sources; i++)
		if (opt.from[i].ss_family != opt.to.ss_family)
			die("--from and --to are of different families");
	if (opt.path && strlen(opt.path) + strlen(opt.host) > 160)
		die("--request: too long");
}

static void on_signal(int signal)
{
	(void)signal;
	stop = 1;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART: read() ends */

	parse_options(argc, argv);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	slots = opt.churn > 0 ? opt.concurrency : opt.count;
	connections = calloc(slots, sizeof(*connections));
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!connections || epoll_fd < 0)
		die("%s", strerror(errno));
	for (unsigned int i = 0; i < slots; i++)
		connections[i].fd = -1;

	if (opt.churn > 0)
		churn();
	else
		hold_all();
	return 0;
}
