/* What an intercepted call costs more than the bare one, what the shim adds to a program's start
 *and to its memory, and what a steered accept() costs.
 *
 *	bench_wrappers LIBRARY [CLIENT-NETNS ADDRESS]
 *
 * Of an intercepted call both ways are measured in one process that the library is loaded into, in
 * turn: through the dynamic linker, which finds the shim first, and straight from libc. Medians of
 * many rounds, and of the difference in each. The network namespace, and an address of ours that
 * connections from there come to through a NIC that is steered by, are for the last table. */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS            801
#define CALLS             50
#define CONNECTION_ROUNDS 101
#define STARTS            61
#define BATCHES           101
#define BATCH             200

/* Listeners on the first are a group of the application's own, and left alone by the policy. */
#define PLAIN_PORT   7001
#define STEERED_PORT 7002
#define TEXT(x)      #x
#define TEXT_OF(x)   TEXT(x)
#define ROWS_MAX     40

#define INTERCEPTED(X) \
	X(epoll_wait)  \
	X(epoll_ctl)   \
	X(poll)        \
	X(select)      \
	X(close)       \
	X(dup)         \
	X(dup2)        \
	X(accept)      \
	X(accept4)     \
	X(connect) X(socket) X(bind) X(listen) X(setsockopt) X(getsockopt) X(recvmsg) X(shutdown)

#define POINTER(name) __typeof__(name) *name;
static struct calls {
	INTERCEPTED(POINTER)
} calls[2]; /* from libc, through the shim */

static int epfd, event_fd, unix_listener, unix_socket, tcp_listener, tcp_socket;
static struct sockaddr_in listener_name;

static void look_up(struct calls *of, void *handle)
{
#define LOOK_UP(name) *(void **)&of->name = dlsym(handle, #name);
	INTERCEPTED(LOOK_UP)
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* --- the calls -------------------------------------------------------------------------------- */

static void wait_once(const struct calls *by)
{
	struct epoll_event event;

	by->epoll_wait(epfd, &event, 1, 0);
}

static void modify(const struct calls *by)
{
	struct epoll_event event = {.events = EPOLLIN};

	by->epoll_ctl(epfd, EPOLL_CTL_MOD, event_fd, &event);
}

static void add_and_delete(const struct calls *by)
{
	struct epoll_event event = {.events = EPOLLIN};

	by->epoll_ctl(epfd, EPOLL_CTL_DEL, event_fd, &event);
	by->epoll_ctl(epfd, EPOLL_CTL_ADD, event_fd, &event);
}

static void poll_two(const struct calls *by)
{
	struct pollfd fds[] = {{.fd = event_fd, .events = POLLIN},
			       {.fd = tcp_socket, .events = POLLIN}};

	by->poll(fds, 2, 0);
}

static void select_two(const struct calls *by)
{
	struct timeval none = {0};
	fd_set in;

	FD_ZERO(&in);
	FD_SET(event_fd, &in);
	FD_SET(unix_listener, &in);
	by->select(unix_listener + 1, &in, NULL, NULL, &none);
}

static void close_copy(const struct calls *by)
{
	by->close(calls[0].dup(event_fd));
}

static void copy(const struct calls *by)
{
	calls[1].close(by->dup(event_fd)); /* the shim is to know that it is gone */
}

static void copy_over(const struct calls *by)
{
	by->dup2(event_fd, 50);
}

static void copy_over_socket(const struct calls *by)
{
	by->dup2(tcp_socket, 51);
}

/* What a round of accept() or connect() has: a connection a call. */
static int outside[CALLS], inside[CALLS], next_one;

static void make_outside(void)
{
	next_one = 0;
	for (int i = 0; i < CALLS; i++)
		outside[i] = socket(AF_INET, SOCK_STREAM, 0);
}

static void make_waiting(void)
{
	make_outside();
	for (int i = 0; i < CALLS; i++)
		if (calls[0].connect(outside[i], (void *)&listener_name, sizeof(listener_name)))
			die("connect");
}

static void accept_made(void)
{
	for (int i = 0; i < CALLS; i++)
		if ((inside[i] = calls[0].accept(tcp_listener, NULL, NULL)) < 0)
			die("accept");
}

/* No TIME_WAIT, which would use the ports up. */
static void reset_all(void)
{
	struct linger at_once = {.l_onoff = 1};

	for (int i = 0; i < CALLS; i++) {
		if (inside[i] < 0)
			die("accept");
		setsockopt(outside[i], SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		close(outside[i]);
		close(inside[i]);
	}
}

static void accept_and_reset(void)
{
	accept_made();
	reset_all();
}

static void accept_one(const struct calls *by)
{
	inside[next_one++] = by->accept(tcp_listener, NULL, NULL);
}

static void accept4_one(const struct calls *by)
{
	inside[next_one++] = by->accept4(tcp_listener, NULL, NULL, SOCK_CLOEXEC);
}

static void connect_one(const struct calls *by)
{
	by->connect(outside[next_one++], (void *)&listener_name, sizeof(listener_name));
}

static void accept_none(const struct calls *by)
{
	by->accept4(event_fd, NULL, NULL, 0);
}

static void connect_refused(const struct calls *by)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};

	by->connect(event_fd, (void *)&name, sizeof(name));
}

static void connect_tcp_refused(const struct calls *by)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};

	by->connect(tcp_listener, (void *)&name, sizeof(name));
}

static void socket_refused(const struct calls *by)
{
	by->socket(AF_UNIX, 99, 0);
}

static void socket_and_close(const struct calls *by)
{
	by->close(by->socket(AF_INET, SOCK_STREAM, 0));
}

static void bind_again(const struct calls *by)
{
	struct sockaddr_in any = {.sin_family = AF_INET};

	by->bind(tcp_listener, (void *)&any, sizeof(any)); /* EINVAL: it has an address */
}

static void listen_unix(const struct calls *by)
{
	by->listen(unix_listener, 5);
}

static void set_option(const struct calls *by)
{
	int on = 1;

	by->setsockopt(tcp_socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static void get_option(const struct calls *by)
{
	int on;
	socklen_t length = sizeof(on);

	by->getsockopt(tcp_socket, IPPROTO_TCP, TCP_NODELAY, &on, &length);
}

static void receive_none(const struct calls *by)
{
	struct msghdr none = {0};

	by->recvmsg(unix_socket, &none, MSG_DONTWAIT);
}

static void shut_down(const struct calls *by)
{
	by->shutdown(unix_socket, SHUT_RDWR);
}

static const struct row {
	const char *name;
	void (*call)(const struct calls *by);
	void (*before)(void), (*after)(void); /* each round */
} rows[] = {
	{"epoll_wait", wait_once, NULL, NULL},
	{"epoll_ctl MOD", modify, NULL, NULL},
	{"epoll_ctl DEL and ADD", add_and_delete, NULL, NULL},
	{"poll", poll_two, NULL, NULL},
	{"select", select_two, NULL, NULL},
	{"close, with a bare dup", close_copy, NULL, NULL},
	{"dup, with a close", copy, NULL, NULL},
	{"dup2 over an eventfd", copy_over, NULL, NULL},
	{"dup2 over a TCP socket", copy_over_socket, NULL, NULL},
	{"accept, loopback", accept_one, make_waiting, reset_all},
	{"accept4, loopback", accept4_one, make_waiting, reset_all},
	{"connect, loopback", connect_one, make_outside, accept_and_reset},
	{"accept4, refused", accept_none, NULL, NULL},
	{"connect, refused", connect_refused, NULL, NULL},
	{"connect, TCP, refused", connect_tcp_refused, NULL, NULL},
	{"socket, refused", socket_refused, NULL, NULL},
	{"socket and close, TCP", socket_and_close, NULL, NULL},
	{"bind, refused", bind_again, NULL, NULL},
	{"listen, Unix", listen_unix, NULL, NULL},
	{"setsockopt, TCP", set_option, NULL, NULL},
	{"getsockopt, TCP", get_option, NULL, NULL},
	{"recvmsg, none there", receive_none, NULL, NULL},
	{"shutdown, refused", shut_down, NULL, NULL},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* --- measuring -------------------------------------------------------------------------------- */

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, int count)
{
	qsort(values, (size_t)count, sizeof(*values), by_value);
	return values[count / 2];
}

/* Medians of both ways, and of the difference in each round. */
struct cost {
	double bare, shim, more;
};

static struct cost measure(const struct row *row)
{
	double took[2][ROUNDS], extra[ROUNDS];
	int rounds = row->before ? CONNECTION_ROUNDS : ROUNDS;

	for (int round = 0; round < rounds; round++) {
		for (int second = 0; second < 2; second++) {
			int way = second ^ (round & 1);
			if (row->before)
				row->before();
			double start = now_ns();
			for (int i = 0; i < CALLS; i++)
				row->call(&calls[way]);
			took[way][round] = (now_ns() - start) / CALLS;
			if (row->after)
				row->after();
		}
		extra[round] = took[1][round] - took[0][round];
	}
	return (struct cost){median(took[0], rounds), median(took[1], rounds),
			     median(extra, rounds)};
}

static void pin(unsigned cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
}

static int listening(int family, const void *address, socklen_t length)
{
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;

	if (family == AF_INET &&
	    ((const struct sockaddr_in *)address)->sin_port == htons(PLAIN_PORT))
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (fd < 0 || bind(fd, address, length) || listen(fd, 1024))
		die("listen");
	return fd;
}

static void set_up(void)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	struct sockaddr_in any = {.sin_family = AF_INET};
	struct epoll_event event = {.events = EPOLLIN};

	snprintf(name.sun_path + 1, 40, "bench-wrappers-%d", getpid());
	unix_listener = listening(AF_UNIX, &name, sizeof(name));
	unix_socket = socket(AF_UNIX, SOCK_STREAM, 0);
	tcp_listener = listening(AF_INET, &any, sizeof(any));
	socklen_t length = sizeof(listener_name);
	getsockname(tcp_listener, (void *)&listener_name, &length);
	listener_name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	tcp_socket = socket(AF_INET, SOCK_STREAM, 0);
	epfd = epoll_create1(0);
	event_fd = eventfd(0, 0);
	epoll_ctl(epfd, EPOLL_CTL_ADD, event_fd, &event);
}

/* In a process of its own that the library is loaded into: a pair of numbers a row. */
static int run_calls(void)
{
	pin(0);
	set_up();
	for (size_t i = 0; i < ROWS; i++) {
		struct cost cost = measure(&rows[i]);
		printf("%f %f %f\n", cost.bare, cost.shim, cost.more);
	}
	return 0;
}

/* --- a steered accept ------------------------------------------------------------------------- */

/* Connects in the other namespace on demand: a byte in, connections of a batch, a byte out. */
static void serve_connects(const char *netns, const char *address, const uint16_t *port, int pipe)
{
	char path[100];
	uint8_t which;
	int fd[BATCH];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(path, sizeof(path), "/run/netns/%s", netns);
	if (setns(open(path, O_RDONLY), CLONE_NEWNET))
		die(path);
	while (read(pipe, &which, 1) == 1) {
		struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = port[which]};
		struct linger at_once = {.l_onoff = 1};
		inet_pton(AF_INET, address, &to.sin_addr);
		for (int i = 0; i < BATCH; i++) {
			fd[i] = socket(AF_INET, SOCK_STREAM, 0);
			if (connect(fd[i], (void *)&to, sizeof(to)))
				die("connect");
		}
		if (write(pipe, "", 1) != 1 || read(pipe, &which, 1) != 1)
			die("pipe");
		for (int i = 0; i < BATCH; i++) {
			/* No TIME_WAIT, which would use the ports up. */
			setsockopt(fd[i], SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
			close(fd[i]);
		}
	}
	_exit(0);
}

/* ns a connection takes, of those that wait: as nginx does it, a wait and an accept in turn. */
static double accept_batch(const struct calls *by, int instance, int listener)
{
	struct epoll_event event[64];
	int fd[BATCH], accepted = 0;
	double start = now_ns();

	while (accepted < BATCH && by->epoll_wait(instance, event, 64, 0) > 0)
		if ((fd[accepted] = by->accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
			accepted++;
	double took = now_ns() - start;
	if (accepted < BATCH / 8) {
		fputs("too few connections\n", stderr);
		exit(1);
	}
	/* As whoever serves what he accepted: then he deals to nobody. */
	for (int i = 0; i < accepted; i++) {
		struct epoll_event in = {.events = EPOLLIN};
		epoll_ctl(instance, EPOLL_CTL_ADD, fd[i], &in);
		close(fd[i]);
	}
	return took / accepted;
}

static int watching(int listener)
{
	struct epoll_event event = {.events = EPOLLIN};
	int instance = epoll_create1(0);

	epoll_ctl(instance, EPOLL_CTL_ADD, listener, &event);
	return instance;
}

static int listening_on(uint16_t port)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};

	return listening(AF_INET, &any, sizeof(any));
}

/* The worker of the other CPU: takes its half of both. */
static void work_there(int steered)
{
	int listener[] = {listening_on(PLAIN_PORT), steered}, instance = epoll_create1(0);
	struct epoll_event event;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pin(1);
	for (uint32_t i = 0; i < 2; i++) {
		event = (struct epoll_event){.events = EPOLLIN, .data.u32 = i};
		epoll_ctl(instance, EPOLL_CTL_ADD, listener[i], &event);
	}
	for (;;)
		if (epoll_wait(instance, &event, 1, -1) > 0)
			close(accept(listener[event.data.u32], NULL, NULL));
}

/* Until the client is done: a worker that does not wait for so long would be taken for stuck. */
static void keep_waiting(int instance, int pipe)
{
	struct epoll_event event[64];
	char byte;

	while (recv(pipe, &byte, 1, MSG_DONTWAIT) != 1) {
		epoll_wait(instance, event, 64, 0);
		usleep(2000);
	}
	usleep(10000); /* the last acknowledgements are on their way */
}

/* The first listener is left alone by the policy, the second is steered. */
static int run_accepts(const char *netns, const char *address)
{
	int listener[2], instance[2], pipe[2];
	double took[2][BATCHES], extra[BATCHES];
	uint16_t port[2] = {htons(PLAIN_PORT), htons(STEERED_PORT)};
	struct epoll_event event;

	listener[0] = listening_on(PLAIN_PORT);
	listener[1] = listening_on(STEERED_PORT);
	socketpair(AF_UNIX, SOCK_STREAM, 0, pipe);
	if (!fork())
		serve_connects(netns, address, port, pipe[0]);
	if (!fork())
		work_there(listener[1]);
	pin(0);
	for (int i = 0; i < 2; i++)
		instance[i] = watching(listener[i]);
	/* Workers' places are known from their first wait on, and looked at now and then. */
	for (int i = 0; i < 5; i++)
		epoll_wait(instance[1], &event, 1, 300);
	for (int batch = 0; batch < BATCHES; batch++) {
		for (int turn = 0; turn < 2; turn++) {
			uint8_t which = (uint8_t)(turn ^ (batch & 1));
			if (write(pipe[1], &which, 1) != 1)
				die("the client ended");
			keep_waiting(instance[1], pipe[1]);
			took[which][batch] =
				accept_batch(&calls[which], instance[which], listener[which]);
			if (write(pipe[1], "", 1) != 1)
				die("the client ended");
		}
		extra[batch] = took[1][batch] - took[0][batch];
	}
	double bare = median(took[0], BATCHES), shim = median(took[1], BATCHES);
	printf("\naccept4 of a waiting connection, ns, with its share of epoll_wait\n"
	       "%-28s %8.0f\n%-28s %+8.0f  ratio %.3f\n",
	       "  own reuseport group, libc", bare, "  steered, through members",
	       median(extra, BATCHES), shim / bare);
	return 0;
}

/* --- processes -------------------------------------------------------------------------------- */

enum state { WITHOUT, OFF, ON, STATES };

static char *const *environment_of(enum state state, const char *library)
{
	static char preload[4096];
	static char *environment[5];
	int count = 0;

	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", library);
	environment[count++] = "PATH=/usr/sbin:/usr/bin:/bin";
	environment[count++] = "RSSSHIM_LISTEN_PORTS=" TEXT_OF(STEERED_PORT);
	if (state != WITHOUT)
		environment[count++] = preload;
	if (state == OFF)
		environment[count++] = "RSSSHIM_DISABLE=1";
	environment[count] = NULL;
	return environment;
}

static pid_t start(char *const *command, enum state state, const char *library,
		   const posix_spawn_file_actions_t *actions)
{
	pid_t pid;

	if (posix_spawnp(&pid, command[0], actions, NULL, command, environment_of(state, library)))
		die(command[0]);
	return pid;
}

static void calls_table(char *self, const char *library)
{
	char *const command[] = {self, "--calls", NULL};
	struct cost cost[STATES][ROWS] = {0};

	for (enum state state = OFF; state < STATES; state++) {
		posix_spawn_file_actions_t actions;
		int out[2];
		if (pipe2(out, O_CLOEXEC))
			die("pipe");
		posix_spawn_file_actions_init(&actions);
		posix_spawn_file_actions_adddup2(&actions, out[1], 1);
		start(command, state, library, &actions);
		close(out[1]);
		FILE *results = fdopen(out[0], "r");
		for (size_t i = 0; i < ROWS; i++)
			if (fscanf(results, "%lf %lf %lf", &cost[state][i].bare,
				   &cost[state][i].shim, &cost[state][i].more) != 3)
				die("results");
		fclose(results);
		wait(NULL);
	}
	puts("ns a call                        bare  switched off  on, not steered   ratio");
	for (size_t i = 0; i < ROWS; i++)
		printf("%-28s %8.0f  %+12.1f %+16.1f %7.2f\n", rows[i].name, cost[ON][i].bare,
		       cost[OFF][i].more, cost[ON][i].more, cost[ON][i].shim / cost[ON][i].bare);
}

static void start_row(const char *what, char *const *command, const char *library)
{
	double took[STATES][STARTS], extra[STATES][STARTS];

	for (int i = 0; i < STARTS; i++) {
		for (enum state state = WITHOUT; state < STATES; state++) {
			double start_ns = now_ns();
			waitpid(start(command, state, library, NULL), NULL, 0);
			took[state][i] = (now_ns() - start_ns) / 1e6;
			extra[state][i] = took[state][i] - took[WITHOUT][i];
		}
	}
	double bare = median(took[WITHOUT], STARTS), more = median(extra[ON], STARTS);
	printf("%-28s %8.2f  %+12.2f %+16.2f %7.2f\n", what, bare, median(extra[OFF], STARTS), more,
	       (bare + more) / bare);
}

/* KB, of a process that waits after it said so. */
static void memory_of(char *const *command, enum state state, const char *library, double *pss,
		      double *dirty)
{
	posix_spawn_file_actions_t actions;
	char line[200], path[64], byte;
	int out[2];

	if (pipe2(out, O_CLOEXEC))
		die("pipe");
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, out[1], 1);
	pid_t pid = start(command, state, library, &actions);
	if (read(out[0], &byte, 1) != 1)
		die("the process says nothing");
	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	FILE *rollup = fopen(path, "r");
	while (rollup && fgets(line, sizeof(line), rollup)) {
		sscanf(line, "Pss: %lf", pss);
		sscanf(line, "Private_Dirty: %lf", dirty);
	}
	fclose(rollup);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(out[0]);
	close(out[1]);
}

static void memory_row(const char *what, char *const *command, const char *library)
{
	double pss[STATES] = {0}, dirty[STATES] = {0};

	for (enum state state = WITHOUT; state < STATES; state++)
		memory_of(command, state, library, &pss[state], &dirty[state]);
	printf("%-28s %8.0f  %+12.0f %+16.0f %+16.0f\n", what, pss[WITHOUT],
	       pss[OFF] - pss[WITHOUT], pss[ON] - pss[WITHOUT], dirty[ON] - dirty[WITHOUT]);
}

static int idle(bool listens)
{
	struct epoll_event event = {.events = EPOLLIN};

	epfd = epoll_create1(0);
	if (listens)
		epoll_ctl(epfd, EPOLL_CTL_ADD, listening_on(STEERED_PORT), &event);
	epoll_wait(epfd, &event, 1, 10);
	if (write(1, "", 1) != 1)
		return 1;
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	char *const true_command[] = {"/bin/true", NULL};
	char *const nginx_command[] = {"nginx", "-t", "-q", NULL};
	char *const idle_command[] = {argv[0], "--idle", NULL};
	char *const listen_command[] = {argv[0], "--listen", NULL};

	look_up(&calls[0], dlopen("libc.so.6", RTLD_NOW));
	look_up(&calls[1], RTLD_DEFAULT);
	if (argc == 2 && strcmp(argv[1], "--calls") == 0)
		return run_calls();
	if (argc == 2 && strcmp(argv[1], "--idle") == 0)
		return idle(false);
	if (argc == 2 && strcmp(argv[1], "--listen") == 0)
		return idle(true);
	if (argc == 4 && strcmp(argv[1], "--accepts") == 0)
		return run_accepts(argv[2], argv[3]);
	if (argc != 2) {
		fprintf(stderr, "usage: bench_wrappers LIBRARY | --accepts NETNS ADDRESS\n");
		return 2;
	}
	setlinebuf(stdout);
	calls_table(argv[0], argv[1]);
	puts("\nms a start                    without  switched off               on   ratio");
	start_row("/bin/true", true_command, argv[1]);
	start_row("nginx -t", nginx_command, argv[1]);
	puts("\nKB a process (PSS)            without  switched off               on   of it "
	     "dirty");
	memory_row("without a TCP socket", idle_command, argv[1]);
	memory_row("with a listener", listen_command, argv[1]);
	return 0;
}
