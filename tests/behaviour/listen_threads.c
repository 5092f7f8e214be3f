/* Listeners that come and go while everybody looks: many threads meet an inherited one at the same
 * moment, and threads make and close their own while others fork. */
#include "tests/behaviour/behaviour.h"
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#define THREADS 6
#define ROUNDS  24
#define FORKS   60

static int listener;
static atomic_int round_now, arrived, stop;

/* Made where no wrapper sees it, as by the program before. */
static int inherited(void)
{
	struct sockaddr_in any = {.sin_family = AF_INET};
	socklen_t length = sizeof(any);
	int fd = (int)syscall(SYS_socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	NEED(fd >= 0 && !syscall(SYS_bind, fd, &any, sizeof(any)));
	NEED(!syscall(SYS_listen, fd, 64));
	NEED(!getsockname(fd, (void *)&any, &length));
	return fd;
}

static void meet(int how)
{
	struct pollfd fd = {.fd = listener, .events = POLLIN};
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 7};
	int epfd;

	switch (how % 4) {
	case 0:
		CHECK_FAILS(accept(listener, NULL, NULL), EAGAIN);
		break;
	case 1:
		CHECK(poll(&fd, 1, 0) == 0);
		break;
	case 2:
		epfd = epoll_create1(EPOLL_CLOEXEC);
		CHECK(!epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event));
		CHECK(epoll_wait(epfd, &event, 1, 0) == 0);
		close(epfd);
		break;
	default:
		CHECK(!set_int(listener, SOL_SOCKET, SO_KEEPALIVE, 1));
		CHECK(get_int(listener, SOL_SOCKET, SO_KEEPALIVE) == 1);
	}
}

static void *meets(void *number)
{
	for (int round = 1; round <= ROUNDS; round++) {
		while (round_now < round)
			sched_yield();
		/* Some while the first of them makes something of it. */
		usleep((unsigned)((intptr_t)number * 7 + round * 5) % 8 * 200);
		meet((int)(intptr_t)number + round);
		arrived++;
	}
	return NULL;
}

/* So does a child that is forked meanwhile. */
static void meet_in_child(int round)
{
	usleep((unsigned)round % 8 * 200);
	pid_t pid = fork();
	NEED(pid >= 0);
	if (!pid) {
		alarm(10);
		int before = check_failures();
		meet(round);
		_exit(check_failures() > before ? 3 : 0);
	}
	CHECK(exit_of(pid) == 0);
}

static void all_at_once(void)
{
	pthread_t thread[THREADS];

	for (intptr_t t = 0; t < THREADS; t++)
		NEED(!pthread_create(&thread[t], NULL, meets, (void *)t));
	for (int round = 1; round <= ROUNDS; round++) {
		listener = inherited();
		round_now = round;
		meet_in_child(round);
		while (arrived < round * THREADS)
			sched_yield();
		enum way way = (enum way)(round % WAYS);
		int one = connected(way, port_of(listener));
		CHECK(is_readable(listener, 2000));
		int fd = accept(listener, NULL, NULL);
		CHECK(fd >= 0 && is_pair(one, fd));
		close(fd);
		gone(one);
		close(listener);
	}
	for (int t = 0; t < THREADS; t++)
		NEED(!pthread_join(thread[t], NULL));
}

/* To a port that nobody else can take meanwhile. */
static int bound(void)
{
	struct sockaddr_in any = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	CHECK(fd >= 0 && !bind(fd, (void *)&any, sizeof(any)));
	return fd;
}

static void *comes_and_goes(void *unused)
{
	while (!stop) {
		int fd = bound();
		if (!CHECK(!listen(fd, 8)))
			break;
		CHECK_FAILS(accept(fd, NULL, NULL), EAGAIN);
		CHECK(!close(fd));
	}
	return unused;
}

/* A child looks at all that was inherited, whatever it was about to become. */
static void child(void)
{
	alarm(10);
	for (int fd = 3; fd < 64; fd++) {
		struct pollfd listening = {.fd = fd, .events = POLLIN};
		poll(&listening, 1, 0);
		accept(fd, NULL, NULL);
	}
	int fd = bound();
	if (listen(fd, 8) || accept(fd, NULL, NULL) != -1 || errno != EAGAIN)
		_exit(2);
	close(fd);
	_exit(check_failures() ? 3 : 0);
}

static void forks_meanwhile(void)
{
	pthread_t thread[2];

	for (int t = 0; t < 2; t++)
		NEED(!pthread_create(&thread[t], NULL, comes_and_goes, NULL));
	for (int i = 0; i < FORKS && !check_failures(); i++) {
		pid_t pid = i % 2 ? fork() : _Fork();
		NEED(pid >= 0);
		if (!pid)
			child();
		CHECK(exit_of(pid) == 0);
	}
	stop = 1;
	for (int t = 0; t < 2; t++)
		NEED(!pthread_join(thread[t], NULL));
}

void behaviour(void)
{
	all_at_once();
	forks_meanwhile();
}
