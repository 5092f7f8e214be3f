/* What a steered accept() costs. */
#include "tests/bench/wrappers/wrappers.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>

#define BATCHES 101
#define BATCH   200

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
int run_accepts(const char *netns, const char *address)
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
