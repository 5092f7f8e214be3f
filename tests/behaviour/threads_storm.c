/* Two hundred threads that come, call everything and end, with forks in between: nothing is lost,
 * no child is stuck, and nothing is left behind. */
#include "tests/behaviour/behaviour.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#define THREADS     200
#define ROUNDS      3
#define CONNECTIONS 300

static int listener, port;
static atomic_int served, stop;
static atomic_uint turns;

static void serve_one(void)
{
	int fd = accept(listener, NULL, NULL);

	if (fd < 0)
		return;
	CHECK(write(fd, "x", 1) == 1);
	close(fd);
	atomic_fetch_add(&served, 1);
}

static void connect_out(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(1)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd >= 0) {
		connect(fd, (void *)&to, sizeof(to));
		close(fd);
	}
}

static void wait_on_epoll(void)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 7};
	int epfd = epoll_create1(EPOLL_CLOEXEC);

	CHECK(epfd >= 0 && !epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event));
	if (epoll_wait(epfd, &event, 1, 20) == 1) {
		CHECK(event.data.u64 == 7);
		serve_one();
	}
	close(epfd);
}

static void *work(void *argument)
{
	struct pollfd fd = {.fd = listener, .events = POLLIN};

	pin((int)((intptr_t)argument % 2));
	while (!stop) {
		switch (atomic_fetch_add(&turns, 1) % 5) {
		case 0:
			wait_on_epoll();
			break;
		case 1:
			if (poll(&fd, 1, 20) == 1)
				serve_one();
			break;
		case 2:
			connect_out();
			break;
		case 3:
			close(dup(listener));
			break;
		default:
			serve_one();
			sleep_ms(5);
			/* Half of them end early. */
			if ((intptr_t)argument % 4 > 1)
				return NULL;
		}
	}
	return NULL;
}

/* What a child does in which all other threads are gone, wherever they were. */
static void child(void)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 7};
	int epfd = epoll_create1(0);

	alarm(10);
	if (epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event) || epoll_wait(epfd, &event, 1, 5) < 0)
		_exit(2);
	serve_one();
	connect_out();
	close(epfd);
	_exit(0);
}

static int open_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int count = 0;

	while (directory && readdir(directory))
		count++;
	closedir(directory);
	return count;
}

/* The thread sanitizer's own locks do not outlive a fork among so many threads. */
static bool forks_are_safe(void)
{
	return !dlsym(RTLD_DEFAULT, "__tsan_init");
}

static void one_fork(int number)
{
	pid_t pid = number % 2 ? fork() : _Fork();

	NEED(pid >= 0);
	if (!pid)
		child();
	CHECK(exit_of(pid) == 0);
}

static void round_of_threads(void)
{
	pthread_t thread[THREADS];
	pthread_attr_t small;
	int forks = 0, status;

	stop = served = 0;
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 256 * 1024);
	pid_t pid = clients(port, CONNECTIONS);
	for (intptr_t t = 0; t < THREADS; t++)
		NEED(!pthread_create(&thread[t], &small, work, (void *)t));
	double end = now_ms() + 6000;
	while (waitpid(pid, &status, WNOHANG) == 0 && now_ms() < end) {
		if (forks_are_safe())
			one_fork(forks++);
		sleep_ms(20);
	}
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	CHECK(forks > 0 || !forks_are_safe());
	stop = 1;
	for (int t = 0; t < THREADS; t++)
		NEED(!pthread_join(thread[t], NULL));
}

void behaviour(void)
{
	int before = 0;

	listener = tcp_listener(SOCK_NONBLOCK);
	port = port_of(listener);
	for (int round = 0; round < ROUNDS; round++) {
		round_of_threads();
		int now = open_descriptors();
		CHECK(!before || now <= before);
		before = now;
	}
}
