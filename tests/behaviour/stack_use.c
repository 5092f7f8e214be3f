/* How much of a thread's stack the calls take. A stack is painted, and what is left of the paint
 * tells: the deepest of what they do when they are the first in a process to do it, which is when
 * routes, NICs and siblings are asked for. */
#include "tests/behaviour/behaviour.h"
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>

#define STACK (256 * 1024)
#define PAINT 0xa5
/* The smallest of stacks has 16 KB. Of that libc takes 3, this library's thread-local data 2,
 * another malloc's as much again; the application has the rest. */
#define MOST (6 * 1024)

static int listener;

static void do_nothing(void)
{
}

static void do_socket(void)
{
	close(socket(AF_INET, SOCK_STREAM, 0));
}

static void do_listen(void)
{
	close(tcp_listener(SOCK_NONBLOCK));
}

static void do_epoll(void)
{
	struct epoll_event event = {.events = EPOLLIN};
	int epfd = epoll_create1(EPOLL_CLOEXEC);

	CHECK(!epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event));
	for (int i = 0; i < 20; i++)
		if (epoll_wait(epfd, &event, 1, 10) == 1)
			close(accept4(listener, NULL, NULL, SOCK_NONBLOCK));
	close(epfd);
}

static void do_poll(void)
{
	struct pollfd entry = {.fd = listener, .events = POLLIN};

	for (int i = 0; i < 20; i++)
		if (poll(&entry, 1, 10) == 1)
			close(accept(listener, NULL, NULL));
}

static void do_select(void)
{
	for (int i = 0; i < 20; i++) {
		struct timeval briefly = {.tv_usec = 10000};
		fd_set set;
		FD_ZERO(&set);
		FD_SET(listener, &set);
		if (select(listener + 1, &set, NULL, NULL, &briefly) == 1)
			close(accept(listener, NULL, NULL));
	}
}

static void connect_to(const char *address, int port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	to.sin_addr.s_addr = inet_addr(address);
	connect(fd, (struct sockaddr *)&to, sizeof(to));
	close(fd);
}

static void do_connect(void)
{
	connect_to("10.99.0.2", 9);
	connect_to("127.0.0.1", 9);
}

static void do_bind(void)
{
	struct sockaddr_in any = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	CHECK(!bind(fd, (struct sockaddr *)&any, sizeof(any)));
	CHECK(port_of(fd));
	close(fd);
}

static void do_close(void)
{
	close(listener);
}

static void do_dup2(void)
{
	CHECK(dup2(0, listener) == listener);
}

static void do_shutdown(void)
{
	shutdown(listener, SHUT_RD);
}

/* One that the kernel refuses, after all that goes before it. */
static void do_exec(void)
{
	static char huge[256 * 1024];
	char *const arguments[] = {"true", huge, NULL};

	memset(huge, 'x', sizeof(huge) - 1);
	CHECK_FAILS(execv("/bin/true", arguments), E2BIG);
	CHECK_FAILS(execl("/bin/true", "true", huge, NULL), E2BIG);
	CHECK_FAILS(execvp("true", arguments), E2BIG);
}

static const struct {
	const char *name;
	void (*run)(void);
} calls[] = {
	{"nothing", do_nothing},  {"socket", do_socket},     {"listen", do_listen},
	{"epoll_wait", do_epoll}, {"poll", do_poll},         {"select", do_select},
	{"connect", do_connect},  {"bind", do_bind},         {"close", do_close},
	{"dup2", do_dup2},        {"shutdown", do_shutdown}, {"exec", do_exec},
};

static void *run(void *which)
{
	calls[*(int *)which].run();
	return NULL;
}

/* Bytes of the stack that a thread touched. */
static long used_by(int which)
{
	unsigned char *stack =
		mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_attr_t attributes;
	pthread_t thread;
	long untouched = 0;

	NEED(stack != MAP_FAILED);
	memset(stack, PAINT, STACK);
	NEED(!pthread_attr_init(&attributes));
	NEED(!pthread_attr_setstack(&attributes, stack, STACK));
	NEED(!pthread_create(&thread, &attributes, run, &which));
	NEED(!pthread_join(thread, NULL));
	pthread_attr_destroy(&attributes);
	while (untouched < STACK && stack[untouched] == PAINT)
		untouched++;
	munmap(stack, STACK);
	return STACK - untouched;
}

/* In a process that has done nothing yet. */
static long used_first_by(int which)
{
	long used = -1;
	int ends[2];

	NEED(!pipe(ends));
	pid_t pid = fork();
	NEED(pid >= 0);
	if (!pid) {
		used = used_by(which);
		if (write(ends[1], &used, sizeof(used)) != sizeof(used))
			_exit(1);
		check_finish();
	}
	close(ends[1]);
	CHECK(read(ends[0], &used, sizeof(used)) == sizeof(used));
	close(ends[0]);
	CHECK(exit_of(pid) == 0);
	return used;
}

void behaviour(void)
{
	listener = tcp_listener(SOCK_NONBLOCK);
	long none = used_first_by(0);

	for (int i = 1; i < (int)(sizeof(calls) / sizeof(calls[0])); i++) {
		pid_t client = client_later(CPU1, port_of(listener), 50);
		long used = used_first_by(i) - none;
		end_child(client);
		fprintf(stderr, "%s takes %ld bytes\n", calls[i].name, used);
		CHECK(used <= MOST);
	}
}
