/* Signals at random times, whose handler does what the interrupted thread may be in the middle of:
 * each connection is served once, whoever got it. */
#include "tests/behaviour/behaviour.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/time.h>

#define CONNECTIONS 600

static int listener, epfd, port;
static atomic_int served, handled;

/* Takes one, if there is one, and says so to the client. */
static bool serve_one(void)
{
	int fd = accept(listener, NULL, NULL);

	if (fd < 0)
		return false;
	CHECK(write(fd, "x", 1) == 1);
	close(fd);
	atomic_fetch_add(&served, 1);
	return true;
}

static void connect_out(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(1)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	connect(fd, (void *)&to, sizeof(to));
	close(fd);
}

static void storm(int signal)
{
	int before = errno, count = atomic_fetch_add(&handled, 1);
	struct pollfd fd = {.fd = listener, .events = POLLIN};
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 7};

	(void)signal;
	switch (count % 6) {
	case 0:
		serve_one();
		break;
	case 1:
		if (poll(&fd, 1, 0) == 1)
			serve_one();
		break;
	case 2:
		epoll_wait(epfd, &event, 1, 0);
		break;
	case 3:
		connect_out();
		break;
	case 4:
		close(dup(listener));
		break;
	case 5:
		epoll_ctl(epfd, EPOLL_CTL_MOD, listener, &event);
		break;
	}
	errno = before;
}

void behaviour(void)
{
	struct itimerval often = {.it_interval = {.tv_usec = 300}, .it_value = {.tv_usec = 300}};
	struct itimerval none = {0};
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 7};
	struct sigaction action = {.sa_handler = storm};

	listener = tcp_listener(SOCK_NONBLOCK);
	port = port_of(listener);
	epfd = epoll_create1(0);
	CHECK(!epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event));
	pid_t pid = clients(port, CONNECTIONS);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	double end = now_ms() + 20000;
	while (served < CONNECTIONS && now_ms() < end) {
		int count = epoll_wait(epfd, &event, 1, 100);
		CHECK(count >= 0 || errno == EINTR);
		CHECK(count <= 0 || event.data.u64 == 7);
		while (serve_one())
			;
		CHECK(errno == EAGAIN || errno == EINTR);
		connect_out();
	}
	setitimer(ITIMER_REAL, &none, NULL);
	CHECK(served == CONNECTIONS);
	CHECK(handled > 100);
	CHECK(exit_of(pid) == 0);
}
