/* poll() and ppoll(): what is asked, in which order, and what is left as it was. */
#include "tests/behaviour/behaviour.h"
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>

static volatile sig_atomic_t caught;

static void catch (int signal)
{
	caught = signal;
}

static void takes(int listener, int one)
{
	int fd = accept(listener, NULL, NULL);

	CHECK(fd >= 0 && is_pair(one, fd));
	close(fd);
	gone(one);
}

static void times(int listener)
{
	struct pollfd fd = {.fd = listener, .events = POLLIN, .revents = 0x7f};
	double start = now_ms();

	CHECK(poll(&fd, 1, 0) == 0 && fd.revents == 0);
	CHECK(now_ms() - start < 100);
	/* Longer than the shim sleeps at a time. */
	start = now_ms();
	CHECK(poll(&fd, 1, 450) == 0);
	CHECK(now_ms() - start >= 449 && now_ms() - start < 2000);
	struct timespec timeout = {.tv_nsec = 300 * 1000000L + 1}, was = timeout;
	start = now_ms();
	CHECK(ppoll(&fd, 1, &timeout, NULL) == 0);
	CHECK(now_ms() - start >= 299);
	CHECK(timeout.tv_sec == was.tv_sec && timeout.tv_nsec == was.tv_nsec);
	timeout = (struct timespec){.tv_nsec = 1000000000};
	CHECK_FAILS(ppoll(&fd, 1, &timeout, NULL), EINVAL);
	timeout = (struct timespec){.tv_sec = -1};
	CHECK_FAILS(ppoll(&fd, 1, &timeout, NULL), EINVAL);
}

/* Every entry is answered in its place, whatever stands beside it. */
static void entries(int listener)
{
	int ends[2];

	NEED(!pipe(ends));
	for (enum way way = LOOPBACK; way < WAYS; way++) {
		struct pollfd fds[] = {
			{.fd = -1, .events = POLLIN, .revents = 1},
			{.fd = listener, .events = POLLIN | POLLOUT | POLLPRI},
			{.fd = ends[1], .events = POLLOUT},
			{.fd = -listener, .events = POLLIN, .revents = 1},
			{.fd = listener, .events = POLLIN},
			{.fd = ends[0], .events = POLLIN},
			{.fd = 9999, .events = POLLIN},
			{.fd = listener, .events = 0, .revents = 1},
		};
		int one = connected(way, port_of(listener));
		NEED(is_readable(listener, 2000));
		CHECK(poll(fds, 8, 2000) == 4);
		CHECK(fds[0].fd == -1 && !fds[0].revents);
		CHECK(fds[1].fd == listener && fds[1].revents == POLLIN);
		CHECK(fds[1].events == (POLLIN | POLLOUT | POLLPRI));
		CHECK(fds[2].revents == POLLOUT && !fds[3].revents);
		CHECK(fds[4].fd == listener && fds[4].revents == POLLIN);
		CHECK(!fds[5].revents && fds[6].revents == POLLNVAL && !fds[7].revents);
		struct pollfd normal = {.fd = listener, .events = POLLRDNORM};
		CHECK(poll(&normal, 1, 2000) == 1 && normal.revents == POLLRDNORM);
		struct pollfd both = {.fd = listener, .events = POLLIN | POLLRDNORM};
		CHECK(poll(&both, 1, 0) == 1 && both.revents == (POLLIN | POLLRDNORM));
		takes(listener, one);
	}
	/* One that is ready ends the wait for the others. */
	struct pollfd two[] = {{.fd = listener, .events = POLLIN},
			       {.fd = ends[0], .events = POLLIN}};
	CHECK(write(ends[1], "x", 1) == 1);
	CHECK(poll(two, 2, -1) == 1 && !two[0].revents && two[1].revents == POLLIN);
	close(ends[1]);
	CHECK(poll(two, 2, -1) == 1 && two[1].revents == (POLLIN | POLLHUP));
	close(ends[0]);
}

static void wrong(int listener)
{
	struct pollfd fd = {.fd = listener, .events = POLLIN};
	struct rlimit limit;

	CHECK(poll(NULL, 0, 10) == 0);
	CHECK_FAILS(poll(NULL, 1, 10), EFAULT);
	NEED(!getrlimit(RLIMIT_NOFILE, &limit));
	struct pollfd *many = calloc(limit.rlim_cur + 1, sizeof(*many));
	NEED(many);
	many[0] = fd;
	CHECK_FAILS(poll(many, limit.rlim_cur + 1, 10), EINVAL);
	free(many);
}

static void signals(int listener)
{
	struct pollfd fd = {.fd = listener, .events = POLLIN, .revents = 0x7f};
	sigset_t only, before, none;

	/* Also where handlers restart other calls, at once and after the first slice. */
	for (int after = 50; after <= 450; after += 400) {
		on_signal(SIGUSR1, catch, true);
		pid_t pid = signal_later(SIGUSR1, after);
		CHECK_FAILS(poll(&fd, 1, 3000), EINTR);
		CHECK(caught == SIGUSR1);
		end_child(pid);
	}
	/* What is blocked and pending comes with the mask that lets it in, and the mask is
	 * restored. */
	sigemptyset(&none);
	sigemptyset(&only);
	sigaddset(&only, SIGUSR1);
	sigprocmask(SIG_BLOCK, &only, &before);
	caught = 0;
	raise(SIGUSR1);
	CHECK(poll(&fd, 1, 250) == 0 && !caught);
	CHECK_FAILS(ppoll(&fd, 1, NULL, &none), EINTR);
	CHECK(caught == SIGUSR1);
	sigprocmask(SIG_SETMASK, NULL, &none);
	CHECK(sigismember(&none, SIGUSR1) == 1);
	sigprocmask(SIG_SETMASK, &before, NULL);
	/* And one that the mask keeps out does not. */
	caught = 0;
	pid_t pid = signal_later(SIGUSR1, 50);
	struct timespec timeout = {.tv_nsec = 500 * 1000000L};
	CHECK(ppoll(&fd, 1, &timeout, &only) == 0);
	CHECK(caught == SIGUSR1); /* afterwards */
	end_child(pid);
}

void behaviour(void)
{
	int listener = tcp_listener(SOCK_NONBLOCK);

	times(listener);
	entries(listener);
	wrong(listener);
	if (!getenv("BEHAVIOUR_IN_HANDLER"))
		signals(listener);
	close(listener);
}
