/* What the servers here have in common: a thread pinned to each CPU this process may use, with an
 * epoll instance of its own, and the choice of a thread for an accepted connection. */
#pragma once
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <rssshim.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

static int worker_epoll[CPU_SETSIZE]; /* 0: no worker on that CPU */
static int worker_any;                /* a CPU that has one */

static inline void die(const char *what)
{
	perror(what);
	exit(1);
}

/* work() is given a pointer to its epoll descriptor. */
static inline void workers_start(void *(*work)(void *epoll))
{
	cpu_set_t allowed, one;

	sched_getaffinity(0, sizeof(allowed), &allowed);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		pthread_attr_t attributes;
		pthread_t thread;

		if (!CPU_ISSET(cpu, &allowed))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		pthread_attr_init(&attributes);
		pthread_attr_setaffinity_np(&attributes, sizeof(one), &one);
		worker_epoll[cpu] = epoll_create1(EPOLL_CLOEXEC);
		if (worker_epoll[cpu] < 0)
			die("epoll_create1");
		errno = pthread_create(&thread, &attributes, work, &worker_epoll[cpu]);
		if (errno)
			die("pthread_create");
		pthread_attr_destroy(&attributes);
		worker_any = cpu;
	}
}

/* The CPU whose worker is to have a connection: where its packets arrive. They may arrive where
 * this process may not run; then any. */
static inline int worker_of(int fd)
{
	int cpu = rssshim_fd_cpu(fd);

	return cpu >= 0 && cpu < CPU_SETSIZE && worker_epoll[cpu] ? cpu : worker_any;
}

static inline int listen_on(const char *port)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6,
				   .sin6_port = htons((uint16_t)atoi(port))};
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)) || listen(fd, 1024))
		die("listen");
	return fd;
}

static inline int accept_one(int listener)
{
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0)
			return fd;
		if (errno != EINTR && errno != ECONNABORTED)
			die("accept4");
	}
}
