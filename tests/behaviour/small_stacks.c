/* Threads whose stacks are as small as the system allows, which are first to do everything: the
 * NICs are looked at from within their calls, at the first socket and whenever something changed.
 */
#include "tests/behaviour/behaviour.h"
#include <arpa/inet.h>
#include <limits.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>

#define CONNECTIONS 30

static int listener;
static _Atomic int served;

static void in_small_thread(void *(*work)(void *), pthread_t *thread)
{
	pthread_attr_t attributes;

	NEED(!pthread_attr_init(&attributes));
	NEED(!pthread_attr_setstacksize(&attributes, (size_t)PTHREAD_STACK_MIN));
	NEED(!pthread_create(thread, &attributes, work, NULL));
	pthread_attr_destroy(&attributes);
}

static void take(void)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);

	if (fd < 0)
		return;
	served += write(fd, "x", 1) == 1;
	close(fd);
}

static void *wait_and_accept(void *unused)
{
	struct epoll_event event = {.events = EPOLLIN};
	struct pollfd entry = {.events = POLLIN};
	struct timeval briefly;
	fd_set set;

	int epfd = epoll_create1(0);
	CHECK(!epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event));
	while (served < CONNECTIONS) {
		if (epoll_wait(epfd, &event, 1, 100) > 0)
			take();
		entry.fd = listener;
		if (poll(&entry, 1, 1) > 0)
			take();
		FD_ZERO(&set);
		FD_SET(listener, &set);
		briefly = (struct timeval){.tv_usec = 1000};
		if (listener < FD_SETSIZE && select(listener + 1, &set, NULL, NULL, &briefly) > 0)
			take();
	}
	close(epfd);
	return unused;
}

static void *listen_first(void *unused)
{
	listener = tcp_listener(SOCK_NONBLOCK);
	return unused;
}

/* To the listener, and to where a NIC leads in a test bench; whether anybody answers there does not
 * matter. */
static void *connect_out(void *unused)
{
	struct sockaddr_in to = {.sin_family = AF_INET};

	to.sin_port = htons(9);
	to.sin_addr.s_addr = inet_addr("10.99.0.2");
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	connect(fd, (struct sockaddr *)&to, sizeof(to));
	close(fd);
	to.sin_port = htons((uint16_t)port_of(listener));
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(!connect(fd, (struct sockaddr *)&to, sizeof(to)));
	CHECK(is_readable(fd, 5000));
	close(fd);
	return unused;
}

/* Announced by the kernel, as any change of an interface is. Takes a privilege. */
static void change_interface(int round)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_mtu = 65536 - round % 2};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	ioctl(fd, SIOCSIFMTU, &request);
	close(fd);
}

void behaviour(void)
{
	pthread_t thread, worker;

	in_small_thread(listen_first, &thread);
	NEED(!pthread_join(thread, NULL));
	in_small_thread(wait_and_accept, &worker);
	for (int i = 0; i < CONNECTIONS; i++) {
		if (i % 5 == 0)
			change_interface(i);
		sleep_ms(100);
		in_small_thread(connect_out, &thread);
		NEED(!pthread_join(thread, NULL));
	}
	change_interface(0);
	NEED(!pthread_join(worker, NULL));
}
