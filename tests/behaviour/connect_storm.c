/* connect() out of signal handlers that interrupt connect(), of two hundred threads at once, in
 * children of fork() among them and of vfork(): each is made, errno is as it was, and where source
 * ports are chosen each arrives on the CPU of the thread that made it. */
#include "tests/behaviour/behaviour.h"
#include <dlfcn.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <sys/wait.h>

#define THREADS  200
#define EACH     8
#define CONNECTS 800
#define FORKS    20

static struct sockaddr_in to;

/* Made without having to wait, by who is pinned to that CPU. False where it is not, or errno is
 * another one than before. */
static bool connect_from(int cpu)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), ret;

	if (fd < 0)
		return false;
	do {
		errno = ENOTNAM;
		ret = connect(fd, (void *)&to, sizeof(to));
	} while (ret && errno == EINTR);
	/* Interrupted, it goes on by itself, and says so. */
	if (ret && (errno == EALREADY || errno == EISCONN)) {
		struct pollfd writable = {.fd = fd, .events = POLLOUT};
		while (poll(&writable, 1, 3000) < 0 && errno == EINTR)
			;
		ret = get_int(fd, SOL_SOCKET, SO_ERROR);
		errno = ENOTNAM;
	}
	bool right = !ret && errno == ENOTNAM && is_home(fd, cpu);
	close(fd);
	return right;
}

static atomic_int handled, handled_wrong;

static void connect_in_handler(int signal)
{
	int before = errno;

	(void)signal;
	atomic_fetch_add(&handled, 1);
	/* One that interrupts a choice makes none of its own. */
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	errno = ENOTNAM;
	int ret = connect(fd, (void *)&to, sizeof(to));
	if (ret ? errno != EINPROGRESS : errno != ENOTNAM)
		atomic_fetch_add(&handled_wrong, 1);
	close(fd);
	errno = before;
}

static void in_handlers(void)
{
	struct itimerval often = {.it_interval = {.tv_usec = 300}, .it_value = {.tv_usec = 300}};
	struct itimerval none = {0};
	struct sigaction action = {.sa_handler = connect_in_handler};
	int server = peer_listener(&to), wrong = 0;

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	double end = now_ms() + 5000;
	for (int i = 0; i < CONNECTS && now_ms() < end && handled < 3000; i++)
		wrong += !connect_from(0);
	setitimer(ITIMER_REAL, &none, NULL);
	CHECK(wrong == 0);
	CHECK(handled > 20);
	CHECK(handled_wrong == 0);
	gone(server);
}

static pthread_barrier_t start;
static atomic_int wrong_in_threads, stop;

static void *storm(void *argument)
{
	int cpu = (int)((intptr_t)argument % 2);

	pin(cpu);
	pthread_barrier_wait(&start);
	for (int i = 0; i < EACH; i++)
		atomic_fetch_add(&wrong_in_threads, !connect_from(cpu));
	return NULL;
}

static void in_threads(void)
{
	int server = peer_listener(&to);
	pthread_t thread[THREADS];
	pthread_attr_t small;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 256 * 1024);
	pthread_barrier_init(&start, NULL, THREADS);
	for (intptr_t t = 0; t < THREADS; t++)
		NEED(!pthread_create(&thread[t], &small, storm, (void *)t));
	for (int t = 0; t < THREADS; t++)
		NEED(!pthread_join(thread[t], NULL));
	CHECK(wrong_in_threads == 0);
	gone(server);
}

static void *go_on(void *argument)
{
	int cpu = (int)((intptr_t)argument % 2);

	pin(cpu);
	for (int i = 0; i < 300 && !stop; i++)
		atomic_fetch_add(&wrong_in_threads, !connect_from(cpu));
	return NULL;
}

static int child_of(pid_t (*make)(void), int cpu)
{
	pid_t pid = make();

	NEED(pid >= 0);
	if (!pid) {
		int wrong = 0;
		alarm(10);
		pin(cpu);
		for (int i = 0; i < 5; i++)
			wrong += !connect_from(cpu);
		_exit(wrong);
	}
	return exit_of(pid);
}

static void in_children(void)
{
	int server = peer_listener(&to);
	pthread_t thread[8];

	for (intptr_t t = 0; t < 8; t++)
		NEED(!pthread_create(&thread[t], NULL, go_on, (void *)t));
	for (int i = 0; i < FORKS; i++)
		CHECK(child_of(i % 2 ? fork : _Fork, i / 2 % 2) == 0);
	stop = 1;
	for (int t = 0; t < 8; t++)
		NEED(!pthread_join(thread[t], NULL));
	CHECK(wrong_in_threads == 0);
	gone(server);
}

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

static void in_vfork(bool closes)
{
	int server = peer_listener(&to);
	pid_t pid = vfork();

	if (!pid) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		int ret = connect(fd, (void *)&to, sizeof(to));
		bool right = is_home(fd, 0);
		if (closes)
			close(fd);
		_exit(ret || !right);
	}
	CHECK(exit_of(pid) == 0);
	for (int i = 0; i < 20; i++)
		CHECK(connect_from(0));
	gone(server);
}

/* The thread sanitizer's own locks do not outlive a fork among so many threads. */
static bool forks_are_safe(void)
{
	return !dlsym(RTLD_DEFAULT, "__tsan_init");
}

void behaviour(void)
{
	/* The first connect of the process is one of many. */
	in_threads();
	in_handlers();
	in_vfork(true);
	in_vfork(false);
	if (forks_are_safe())
		in_children();
}
