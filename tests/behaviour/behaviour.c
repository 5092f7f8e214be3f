#include "tests/behaviour/behaviour.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#define LIMIT_SECONDS 25
#define HANDLER_STACK (64 * 1024)

static int failures;

bool check(bool holds, const char *what, const char *file, int line)
{
	if (!holds) {
		__atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
		fprintf(stderr, "%s:%d: %s\n", file, line, what);
	}
	return holds;
}

void check_fails(long result, int error, int wanted, const char *what, const char *name,
		 const char *file, int line)
{
	if (result == -1 && error == wanted)
		return;
	__atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
	fprintf(stderr, "%s:%d: %s: wanted %s, got %ld with %s\n", file, line, what, name, result,
		result == -1 ? strerrorname_np(error) : "no error");
}

int check_failures(void)
{
	return failures;
}

void check_finish(void)
{
	fflush(NULL);
	_exit(failures ? 1 : 0);
}

void skip(const char *why)
{
	printf("SKIP %s\n", why);
	check_finish();
}

/* --- the client's side ---------------------------------------------------------------------- */

static const char *peer(void)
{
	return getenv("BEHAVIOUR_PEER");
}

/* The key of the bench's soft NIC, which hashes to an indirection table "0 1 0 1 ..". */
static const uint8_t key[] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
			      0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
			      0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
			      0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

/* The lowest bit of the Toeplitz hash: of each bit set in the input, the key's bit 31 further. */
static int arrives_on(const uint8_t *input, size_t length)
{
	int hash = 0;

	for (size_t bit = 0; bit < length * 8; bit++)
		if (input[bit / 8] >> (7 - bit % 8) & 1)
			hash ^= key[(bit + 31) / 8] >> (7 - (bit + 31) % 8) & 1;
	return hash;
}

static int netns(const char *path)
{
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	int ret = fd < 0 ? -1 : setns(fd, CLONE_NEWNET);

	syscall(SYS_close, fd);
	return ret;
}

bool clients_open_fast;

static int socket_over_there(int family, bool there)
{
	char own[64];

	snprintf(own, sizeof(own), "/proc/self/task/%ld/ns/net", syscall(SYS_gettid));
	int home = there ? (int)syscall(SYS_openat, AT_FDCWD, own, O_RDONLY | O_CLOEXEC) : -1;
	if (there && (home < 0 || netns(peer()))) {
		fprintf(stderr, "behaviour: no way into %s: %s\n", peer(), strerror(errno));
		exit(99);
	}
	int fd = (int)syscall(SYS_socket, family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (there && setns(home, CLONE_NEWNET))
		exit(99);
	if (there)
		syscall(SYS_close, home);
	if (clients_open_fast)
		syscall(SYS_setsockopt, fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &(int){1},
			sizeof(int));
	return fd;
}

static int connect_raw(int fd, const void *to, socklen_t length)
{
	struct timeval patience = {.tv_sec = 5};

	syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (!syscall(SYS_connect, fd, to, length))
		return fd;
	int error = errno;
	syscall(SYS_close, fd);
	errno = error;
	return -1;
}

static uint16_t next_port(void)
{
	static _Atomic unsigned last;

	if (!last)
		last = (unsigned)getpid() * 7919u + (unsigned)time(NULL);
	return (uint16_t)(20000 + last++ * 31 % 40000);
}

static int client4(enum way way, int port)
{
	bool there = way != LOOPBACK && peer();
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	struct sockaddr_in from = {.sin_family = AF_INET};
	int fd = socket_over_there(AF_INET, there);

	inet_pton(AF_INET, there ? "10.99.0.1" : "127.0.0.1", &to.sin_addr);
	inet_pton(AF_INET, "10.99.0.2", &from.sin_addr);
	for (int tries = 0; there && tries < 200; tries++) {
		uint8_t input[12];
		from.sin_port = htons(next_port());
		memcpy(input, &from.sin_addr, 4);
		memcpy(input + 4, &to.sin_addr, 4);
		memcpy(input + 8, &from.sin_port, 2);
		memcpy(input + 10, &to.sin_port, 2);
		if (arrives_on(input, sizeof(input)) == (int)way - CPU0 &&
		    !syscall(SYS_bind, fd, &from, sizeof(from)))
			break;
	}
	return connect_raw(fd, &to, sizeof(to));
}

int client(enum way way, int port)
{
	return client4(way, port);
}

int client6(enum way way, int port)
{
	bool there = way != LOOPBACK && peer();
	struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	struct sockaddr_in6 from = {.sin6_family = AF_INET6};
	int fd = socket_over_there(AF_INET6, there);

	inet_pton(AF_INET6, there ? "fd99::1" : "::1", &to.sin6_addr);
	inet_pton(AF_INET6, "fd99::2", &from.sin6_addr);
	for (int tries = 0; there && tries < 200; tries++) {
		uint8_t input[36];
		from.sin6_port = htons(next_port());
		memcpy(input, &from.sin6_addr, 16);
		memcpy(input + 16, &to.sin6_addr, 16);
		memcpy(input + 32, &from.sin6_port, 2);
		memcpy(input + 34, &to.sin6_port, 2);
		if (arrives_on(input, sizeof(input)) == (int)way - CPU0 &&
		    !syscall(SYS_bind, fd, &from, sizeof(from)))
			break;
	}
	return connect_raw(fd, &to, sizeof(to));
}

int connected(enum way way, int port)
{
	int fd = client(way, port);

	if (fd < 0)
		fprintf(stderr, "no connection on way %d: %s\n", way, strerror(errno));
	NEED(fd >= 0);
	return fd;
}

void gone(int fd)
{
	syscall(SYS_close, fd);
}

bool is_refused(enum way way, int port)
{
	int fd = client(way, port);

	if (fd >= 0)
		gone(fd);
	return fd < 0 && errno == ECONNREFUSED;
}

int peer_listener(struct sockaddr_in *address)
{
	int fd = socket_over_there(AF_INET, peer());
	socklen_t length = sizeof(*address);

	memset(address, 0, sizeof(*address));
	address->sin_family = AF_INET;
	inet_pton(AF_INET, peer() ? "10.99.0.200" : "127.0.0.1", &address->sin_addr);
	NEED(fd >= 0);
	NEED(!syscall(SYS_bind, fd, address, length));
	NEED(!syscall(SYS_listen, fd, 4096));
	NEED(!syscall(SYS_getsockname, fd, address, &length));
	return fd;
}

bool is_home(int fd, int cpu)
{
	return !is_steered() || !peer() || get_int(fd, SOL_SOCKET, SO_INCOMING_CPU) == cpu;
}

bool is_pair(int client_fd, int accepted)
{
	struct sockaddr_storage one = {0}, other = {0};
	socklen_t one_length = sizeof(one), other_length = sizeof(other);

	return !getsockname(client_fd, (void *)&one, &one_length) &&
	       !getpeername(accepted, (void *)&other, &other_length) &&
	       one_length == other_length && !memcmp(&one, &other, one_length);
}

/* --- the server's side ---------------------------------------------------------------------- */

/* To a port that was named, once the kernel has said which is free: one of its own choice is given
 * back when listening ends. */
int tcp_bound(int flags)
{
	struct sockaddr_in any = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	NEED(fd >= 0);
	NEED(!bind(fd, (void *)&any, sizeof(any)));
	any.sin_port = htons((uint16_t)port_of(fd));
	close(fd);
	NEED((fd = socket(AF_INET, SOCK_STREAM | flags, 0)) >= 0);
	NEED(!bind(fd, (void *)&any, sizeof(any)));
	return fd;
}

int tcp_listener(int flags)
{
	int fd = tcp_bound(flags);

	NEED(!listen(fd, 64));
	if (is_steered() && listening_on(port_of(fd)) < 2) {
		fprintf(stderr, "behaviour: no members beside the listener\n");
		__atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
	}
	return fd;
}

int port_of(int fd)
{
	struct sockaddr_storage address = {0};
	socklen_t length = sizeof(address);

	NEED(!getsockname(fd, (void *)&address, &length));
	return ntohs(((struct sockaddr_in *)&address)->sin_port);
}

bool is_steered(void)
{
	return getenv("BEHAVIOUR_STEERED");
}

/* Rows of /proc/net/tcp that listen on the port: how many there are, and how many connections wait
 * at those that are not of that inode (or are). */
static int rows(int port, ino_t inode, bool of_inode, int *waiting)
{
	static const char *const files[] = {"/proc/self/net/tcp", "/proc/self/net/tcp6"};
	int found = 0;

	*waiting = 0;
	for (int i = 0; i < 2; i++) {
		FILE *file = fopen(files[i], "re");
		char line[256];
		while (file && fgets(line, sizeof(line), file)) {
			unsigned local, state, queue;
			unsigned long row;
			if (sscanf(line,
				   " %*u: %*[0-9A-F]:%x %*[0-9A-F]:%*x %x %*x:%x %*x:%*x %*x %*u "
				   "%*u %lu",
				   &local, &state, &queue, &row) != 4 ||
			    state != 0x0a || (int)local != port)
				continue;
			found++;
			if ((row == inode) == of_inode)
				*waiting += (int)queue;
		}
		if (file)
			fclose(file);
	}
	return found;
}

bool is_as_it_was(int listener)
{
	return !is_steered() || listening_on(port_of(listener)) > 1;
}

static ino_t inode_of(int fd)
{
	struct stat status = {0};

	fstat(fd, &status);
	return status.st_ino;
}

int listening_on(int port)
{
	int waiting;

	return rows(port, 0, false, &waiting);
}

bool waits_at(int listener)
{
	int waiting;

	rows(port_of(listener), inode_of(listener), true, &waiting);
	return waiting > 0;
}

bool waits_at_member(int listener)
{
	int waiting;

	rows(port_of(listener), inode_of(listener), false, &waiting);
	return waiting > 0;
}

bool is_readable(int fd, int timeout_ms)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

	return poll(&poll_fd, 1, timeout_ms) == 1;
}

int set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value));
}

int get_int(int fd, int level, int name)
{
	int value = -1;
	socklen_t length = sizeof(value);

	return getsockopt(fd, level, name, &value, &length) ? -1 : value;
}

/* --- time, CPUs, processes ------------------------------------------------------------------ */

void pin(int cpu)
{
	cpu_set_t mask;

	CPU_ZERO(&mask);
	CPU_SET(cpu, &mask);
	sched_setaffinity(0, sizeof(mask), &mask);
}

void unpin(void)
{
	cpu_set_t mask;

	memset(&mask, 0xff, sizeof(mask));
	sched_setaffinity(0, sizeof(mask), &mask);
}

double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

void sleep_ms(int ms)
{
	struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

void on_signal(int signal, void (*handler)(int), bool restart)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = restart ? SA_RESTART : 0};

	sigaction(signal, &action, NULL);
}

pid_t signal_later(int signal, int after_ms)
{
	int process = getpid();
	long thread = syscall(SYS_gettid);
	pid_t pid = fork();

	NEED(pid >= 0);
	if (!pid) {
		sleep_ms(after_ms);
		syscall(SYS_tgkill, process, thread, signal);
		_exit(0);
	}
	return pid;
}

pid_t client_later(enum way way, int port, int after_ms)
{
	pid_t pid = fork();

	NEED(pid >= 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		sleep_ms(after_ms);
		int fd = client(way, port);
		if (fd < 0)
			_exit(1);
		for (;;)
			pause();
	}
	return pid;
}

pid_t clients(int port, int count)
{
	const struct itimerval none = {0};
	pid_t pid = fork();

	NEED(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setitimer(ITIMER_REAL, &none, NULL);
	for (int i = 0; i < count; i++) {
		char byte;
		int fd = client((enum way)(i % WAYS), port);
		if (fd < 0 || recv(fd, &byte, 1, 0) != 1 || recv(fd, &byte, 1, 0) != 0)
			_exit(1);
		gone(fd);
	}
	_exit(0);
}

void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

int exit_of(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

void refuse(long call, int error)
{
	struct sock_filter filter[] = {
		{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr)},
		{BPF_JMP | BPF_JEQ | BPF_K, 0, 1, (uint32_t)call},
		{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | (uint32_t)error},
		{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
	};
	struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};

	NEED(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	NEED(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
}

/* --- how a program is run ------------------------------------------------------------------- */

static void run_in_handler(int signal)
{
	(void)signal;
	behaviour();
}

/* What goes beyond its end is noticed. */
static void make_stack(void)
{
	char *map = mmap(NULL, HANDLER_STACK + 4096, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack_t stack = {.ss_sp = map + 4096, .ss_size = HANDLER_STACK};

	NEED(map != MAP_FAILED && !mprotect(map, 4096, PROT_NONE));
	NEED(!sigaltstack(&stack, NULL));
}

static void run(void)
{
	alarm(LIMIT_SECONDS);
	/* As servers do: the shim looks at the CPUs it may use before the threads are pinned. */
	close(socket(AF_INET, SOCK_STREAM, 0));
	pin(0);
	const char *handler = getenv("BEHAVIOUR_IN_HANDLER");
	if (handler) {
		struct sigaction action = {.sa_handler = run_in_handler, .sa_flags = SA_NODEFER};
		if (!strcmp(handler, "stack")) {
			make_stack();
			action.sa_flags |= SA_ONSTACK;
		}
		sigaction(SIGUSR2, &action, NULL);
		raise(SIGUSR2);
	} else {
		behaviour();
	}
	check_finish();
}

#ifdef BEHAVIOUR_LIBRARY
__attribute__((constructor)) static void start(void)
{
	/* Programs start others, which are not to be tests again. */
	unsetenv("LD_PRELOAD");
	run();
}
#else
int main(int argc, char **argv)
{
	/* What a program starts itself for: see exec.c. */
	extern void started(int argc, char **argv) __attribute__((weak));

	if (argc > 1 && started)
		started(argc, argv);
	run();
}
#endif
