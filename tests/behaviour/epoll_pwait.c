/* epoll_pwait() and epoll_pwait2(): times, the mask while they wait, and the mask as it was after.
 */
#include "tests/behaviour/behaviour.h"
#include <signal.h>
#include <sys/epoll.h>
#include <time.h>

static int listener, epfd;
static volatile sig_atomic_t caught;

static void catch (int signal)
{
	caught = signal;
}

/* By either; -1 ms is for ever. */
static int wait_by(int which, int timeout_ms, const sigset_t *mask)
{
	struct timespec timeout = {.tv_sec = timeout_ms / 1000,
				   .tv_nsec = timeout_ms % 1000 * 1000000L};
	struct epoll_event event = {0};
	int count = which == 2
			    ? epoll_pwait2(epfd, &event, 1, timeout_ms < 0 ? NULL : &timeout, mask)
			    : epoll_pwait(epfd, &event, 1, timeout_ms, mask);

	CHECK(count <= 0 || (event.events == EPOLLIN && event.data.u64 == 7));
	return count;
}

static void times(int which)
{
	double start = now_ms();

	CHECK(wait_by(which, 0, NULL) == 0);
	CHECK(now_ms() - start < 100);
	start = now_ms();
	CHECK(wait_by(which, 450, NULL) == 0);
	CHECK(now_ms() - start >= 449 && now_ms() - start < 2000);
	for (enum way way = LOOPBACK; way < WAYS; way++) {
		int one = connected(way, port_of(listener));
		errno = 77;
		CHECK(wait_by(which, way == CPU0 ? -1 : 3000, NULL) == 1 && errno == 77);
		int fd = accept(listener, NULL, NULL);
		CHECK(fd >= 0 && is_pair(one, fd));
		close(fd);
		gone(one);
	}
}

static void masks(int which)
{
	sigset_t only, none, before, now;

	sigemptyset(&none);
	sigemptyset(&only);
	sigaddset(&only, SIGUSR1);
	on_signal(SIGUSR1, catch, true);
	sigprocmask(SIG_BLOCK, &only, &before);
	/* Pending, and let in. */
	caught = 0;
	raise(SIGUSR1);
	CHECK(wait_by(which, 250, NULL) == 0 && !caught);
	CHECK_FAILS(wait_by(which, -1, &none), EINTR);
	CHECK(caught == SIGUSR1);
	/* While it waits, at once and after the shim has slept for the first time. */
	for (int after = 50; after <= 450; after += 400) {
		caught = 0;
		pid_t pid = signal_later(SIGUSR1, after);
		CHECK_FAILS(wait_by(which, 5000, &none), EINTR);
		CHECK(caught == SIGUSR1);
		end_child(pid);
	}
	sigprocmask(SIG_SETMASK, NULL, &now);
	CHECK(sigismember(&now, SIGUSR1) == 1);
	sigprocmask(SIG_SETMASK, &before, NULL);
	/* Kept out. */
	caught = 0;
	pid_t pid = signal_later(SIGUSR1, 50);
	CHECK(wait_by(which, 500, &only) == 0);
	CHECK(caught == SIGUSR1); /* afterwards */
	end_child(pid);
}

static void refusals(void)
{
	static const struct timespec wrong[] = {{.tv_sec = -1},
						{.tv_nsec = -1},
						{.tv_nsec = 1000000000},
						{.tv_sec = 1, .tv_nsec = 1999999999}};
	struct epoll_event event;

	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		CHECK_FAILS(epoll_pwait2(epfd, &event, 1, &wrong[i], NULL), EINVAL);
	CHECK_FAILS(epoll_pwait2(epfd, &event, 0, NULL, NULL), EINVAL);
	CHECK_FAILS(epoll_pwait2(-1, &event, 1, NULL, NULL), EBADF);
	CHECK_FAILS(epoll_pwait2(listener, &event, 1, NULL, NULL), EINVAL);
	CHECK_FAILS(epoll_pwait(epfd, &event, 0, 10, NULL), EINVAL);
	CHECK_FAILS(epoll_pwait(-1, &event, 1, 10, NULL), EBADF);
	CHECK_FAILS(epoll_pwait(listener, &event, 1, 10, NULL), EINVAL);
	/* Any negative number of milliseconds is for ever. */
	int one = connected(CPU0, port_of(listener));
	CHECK(epoll_pwait(epfd, &event, 1, -77, NULL) == 1);
	int fd = accept(listener, NULL, NULL);
	CHECK(fd >= 0 && is_pair(one, fd));
	close(fd);
	gone(one);
}

void behaviour(void)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 7};

	listener = tcp_listener(SOCK_NONBLOCK);
	epfd = epoll_create1(0);
	CHECK(!epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event));
	for (int which = 1; which <= 2; which++) {
		times(which);
		if (!getenv("BEHAVIOUR_IN_HANDLER"))
			masks(which);
	}
	refusals();
}
