/* __poll_chk() and __ppoll_chk(): what programs call that were built with _FORTIFY_SOURCE. They are
 * poll() and ppoll(), and end the process where the array is smaller than they are told. */
#include "tests/behaviour/behaviour.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>

int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t room);
int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
		const sigset_t *mask, size_t room);

static volatile sig_atomic_t caught;

static void catch (int signal)
{
	caught = signal;
}

static void times(int listener)
{
	struct pollfd fd = {.fd = listener, .events = POLLIN, .revents = 0x7f};
	struct timespec timeout = {.tv_nsec = 300 * 1000000L + 1};
	double start = now_ms();

	CHECK(__poll_chk(&fd, 1, 450, sizeof(fd)) == 0 && fd.revents == 0);
	CHECK(now_ms() - start >= 449 && now_ms() - start < 2000);
	start = now_ms();
	CHECK(__ppoll_chk(&fd, 1, &timeout, NULL, sizeof(fd)) == 0);
	CHECK(now_ms() - start >= 299);
	timeout = (struct timespec){.tv_nsec = 1000000000};
	CHECK_FAILS(__ppoll_chk(&fd, 1, &timeout, NULL, sizeof(fd)), EINVAL);
	timeout = (struct timespec){.tv_nsec = -1};
	CHECK_FAILS(__ppoll_chk(&fd, 1, &timeout, NULL, sizeof(fd)), EINVAL);
	timeout = (struct timespec){.tv_sec = -1};
	CHECK_FAILS(__ppoll_chk(&fd, 1, &timeout, NULL, sizeof(fd)), EINVAL);
	CHECK(__poll_chk(NULL, 0, 10, 0) == 0);
	CHECK_FAILS(__poll_chk(NULL, 1, 10, sizeof(fd)), EFAULT);
}

static void masks(int listener)
{
	struct pollfd fd = {.fd = listener, .events = POLLIN};
	sigset_t only, none, before;

	sigemptyset(&none);
	sigemptyset(&only);
	sigaddset(&only, SIGUSR1);
	on_signal(SIGUSR1, catch, true);
	sigprocmask(SIG_BLOCK, &only, &before);
	raise(SIGUSR1);
	CHECK(__poll_chk(&fd, 1, 250, sizeof(fd)) == 0 && !caught);
	CHECK_FAILS(__ppoll_chk(&fd, 1, NULL, &none, sizeof(fd)), EINTR);
	CHECK(caught == SIGUSR1);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

static void too_small(int listener, bool masked)
{
	struct pollfd fds[2] = {{.fd = listener, .events = POLLIN}};
	const struct rlimit no_core = {0};
	pid_t pid = fork();

	NEED(pid >= 0);
	if (!pid) {
		setrlimit(RLIMIT_CORE, &no_core);
		dup2(open("/dev/null", O_WRONLY), 2);
		signal(SIGABRT, SIG_DFL);
		if (masked)
			__ppoll_chk(fds, 2, NULL, NULL, sizeof(fds[0]));
		else
			__poll_chk(fds, 2, 0, sizeof(fds) - 1);
		_exit(0);
	}
	CHECK(exit_of(pid) == 256 + SIGABRT);
}

void behaviour(void)
{
	int listener = tcp_listener(SOCK_NONBLOCK);

	times(listener);
	for (enum way way = LOOPBACK; way < WAYS; way++) {
		struct pollfd fds[] = {{.fd = -1}, {.fd = listener, .events = POLLIN}};
		int one = connected(way, port_of(listener));
		errno = 77;
		CHECK(__poll_chk(fds, 2, -1, sizeof(fds)) == 1 && fds[1].revents == POLLIN);
		CHECK(__ppoll_chk(fds, 2, NULL, NULL, sizeof(fds)) == 1 &&
		      fds[1].revents == POLLIN);
		CHECK(errno == 77);
		int fd = accept(listener, NULL, NULL);
		CHECK(fd >= 0 && is_pair(one, fd));
		close(fd);
		gone(one);
	}
	if (!getenv("BEHAVIOUR_IN_HANDLER"))
		masks(listener);
	too_small(listener, false);
	too_small(listener, true);
}
