/* An echo server that serves each connection on the CPU where its packets arrive: one thread
 * accepts, asks where the handshake was processed, and gives the connection to the worker pinned
 * there. A worker keeps nothing of a connection, so any may serve it: under the shim with
 * RSSSHIM_MIGRATE_MODE=epoll, one whose packets begin to arrive elsewhere goes to the worker there.
 *
 *	echo PORT */
#include "workers.h"

static void echo(int fd)
{
	char buffer[4096];
	ssize_t n = recv(fd, buffer, sizeof(buffer), 0);

	/* A client that does not read what it sent is not waited for. */
	if (n <= 0 || send(fd, buffer, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) != n)
		close(fd);
}

static void *work(void *epoll)
{
	struct epoll_event events[64];

	for (;;) {
		int n = epoll_wait(*(int *)epoll, events, 64, -1);

		for (int i = 0; i < n; i++)
			echo(events[i].data.fd);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: echo PORT\n");
		return 2;
	}
	workers_start(work);
	int listener = listen_on(argv[1]);

	for (;;) {
		int fd = accept_one(listener);
		struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

		if (epoll_ctl(worker_epoll[worker_of(fd)], EPOLL_CTL_ADD, fd, &event))
			close(fd);
	}
}
