/* select() and pselect(): the sets, the time that is left, the signals. */
#include "tests/behaviour/behaviour.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/select.h>

static volatile sig_atomic_t caught;

static void catch (int signal)
{
	caught = signal;
}

static fd_set only(int fd)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fd, &set);
	return set;
}

static int members(const fd_set *set)
{
	int count = 0;

	for (int fd = 0; fd < FD_SETSIZE; fd++)
		count += !!FD_ISSET(fd, set);
	return count;
}

static void times(int listener)
{
	struct timeval left = {.tv_usec = 450000};
	fd_set in = only(listener), other = only(listener);
	double start = now_ms();

	CHECK(select(listener + 1, &in, NULL, &other, &left) == 0);
	CHECK(now_ms() - start >= 449);
	CHECK(members(&in) == 0 && members(&other) == 0);
	CHECK(left.tv_sec == 0 && left.tv_usec == 0);
	in = only(listener);
	left = (struct timeval){0};
	CHECK(select(listener + 1, &in, NULL, NULL, &left) == 0 && members(&in) == 0);
	int one = connected(CPU1, port_of(listener));
	in = only(listener);
	left = (struct timeval){.tv_sec = 5};
	CHECK(select(listener + 1, &in, NULL, NULL, &left) == 1 && FD_ISSET(listener, &in));
	CHECK(left.tv_sec == 4 && left.tv_usec > 0);
	int fd = accept(listener, NULL, NULL);
	CHECK(fd >= 0 && is_pair(one, fd));
	close(fd);
	gone(one);
	/* pselect() leaves the time alone. */
	struct timespec timeout = {.tv_nsec = 250 * 1000000L};
	in = only(listener);
	CHECK(pselect(listener + 1, &in, NULL, NULL, &timeout, NULL) == 0);
	CHECK(timeout.tv_nsec == 250 * 1000000L);
}

static void sets(int listener)
{
	int ends[2];

	NEED(!pipe(ends));
	for (enum way way = LOOPBACK; way < WAYS; way++) {
		int one = connected(way, port_of(listener)), top = ends[1] + 1;
		NEED(is_readable(listener, 2000));
		fd_set in = only(listener), out = only(ends[1]), other = only(listener);
		FD_SET(ends[0], &in);
		CHECK(select(top > listener ? top : listener + 1, &in, &out, &other, NULL) == 2);
		CHECK(members(&in) == 1 && FD_ISSET(listener, &in));
		CHECK(members(&out) == 1 && FD_ISSET(ends[1], &out) && members(&other) == 0);
		/* Not asked for: numbers from the first argument on. */
		in = only(listener);
		struct timeval soon = {.tv_usec = 1000};
		CHECK(select(listener, &in, NULL, NULL, &soon) == 0);
		int fd = accept(listener, NULL, NULL);
		CHECK(fd >= 0 && is_pair(one, fd));
		close(fd);
		gone(one);
	}
	/* A number that is not open, beside the listener. */
	fd_set in = only(listener);
	FD_SET(ends[0], &in);
	close(ends[0]);
	CHECK_FAILS(select(ends[1] + 1, &in, NULL, NULL, NULL), EBADF);
	close(ends[1]);
	struct timeval wrong = {.tv_sec = -1};
	in = only(listener);
	CHECK_FAILS(select(listener + 1, &in, NULL, NULL, &wrong), EINVAL);
	wrong = (struct timeval){.tv_usec = -1};
	CHECK_FAILS(select(listener + 1, &in, NULL, NULL, &wrong), EINVAL);
	CHECK_FAILS(select(-1, &in, NULL, NULL, NULL), EINVAL);
	struct timespec nanoseconds = {.tv_nsec = 1000000000};
	CHECK_FAILS(pselect(listener + 1, &in, NULL, NULL, &nanoseconds, NULL), EINVAL);
	nanoseconds = (struct timespec){.tv_nsec = -1};
	CHECK_FAILS(pselect(listener + 1, &in, NULL, NULL, &nanoseconds, NULL), EINVAL);
	nanoseconds = (struct timespec){.tv_sec = -1};
	CHECK_FAILS(pselect(listener + 1, &in, NULL, NULL, &nanoseconds, NULL), EINVAL);
	/* More than a second of microseconds is none of them. */
	struct timeval much = {.tv_usec = 1250000};
	double start = now_ms();
	CHECK(select(listener + 1, &in, NULL, NULL, &much) == 0);
	CHECK(now_ms() - start >= 1249 && now_ms() - start < 3000);
}

/* The highest number a set can hold. */
static void highest(int listener)
{
	struct rlimit limit;

	NEED(!getrlimit(RLIMIT_NOFILE, &limit));
	if (limit.rlim_cur < FD_SETSIZE) {
		limit.rlim_cur = FD_SETSIZE;
		NEED(!setrlimit(RLIMIT_NOFILE, &limit));
	}
	CHECK(dup2(listener, FD_SETSIZE - 1) == FD_SETSIZE - 1);
	for (enum way way = LOOPBACK; way < WAYS; way++) {
		int one = connected(way, port_of(listener));
		fd_set in = only(FD_SETSIZE - 1);
		struct timeval patience = {.tv_sec = 3};
		CHECK(select(FD_SETSIZE, &in, NULL, NULL, &patience) == 1);
		CHECK(members(&in) == 1 && FD_ISSET(FD_SETSIZE - 1, &in));
		int fd = accept(FD_SETSIZE - 1, NULL, NULL);
		CHECK(fd >= 0 && fd < FD_SETSIZE && is_pair(one, fd));
		close(fd);
		gone(one);
	}
	close(FD_SETSIZE - 1);
}

/* Larger sets than fd_set: some programs allocate their own. */
static void large_sets(int listener)
{
	struct {
		fd_set set, more;
	} in = {0};
	struct timeval no_time = {0};

	/* It was waited for with sets of the usual size before. */
	FD_SET(listener, &in.set);
	CHECK(select(2 * FD_SETSIZE, &in.set, NULL, NULL, &no_time) == 0);
	for (enum way way = LOOPBACK; way < WAYS; way++) {
		int one = connected(way, port_of(listener));
		struct timeval patience = {.tv_sec = 3};
		FD_SET(listener, &in.set);
		CHECK(select(2 * FD_SETSIZE, &in.set, NULL, NULL, &patience) == 1);
		int fd = accept(listener, NULL, NULL);
		CHECK(fd >= 0 && is_pair(one, fd));
		close(fd);
		gone(one);
	}
	/* And is again. */
	in.set = only(listener);
	CHECK(select(listener + 1, &in.set, NULL, NULL, &no_time) == 0);
}

static void signals(int listener)
{
	struct timeval left = {.tv_sec = 3};
	fd_set in = only(listener);
	sigset_t usr1, before, none;

	on_signal(SIGUSR1, catch, true);
	pid_t pid = signal_later(SIGUSR1, 300);
	CHECK_FAILS(select(listener + 1, &in, NULL, NULL, &left), EINTR);
	CHECK(left.tv_sec == 2 && caught == SIGUSR1);
	/* Left as they were. */
	CHECK(FD_ISSET(listener, &in));
	end_child(pid);
	sigemptyset(&none);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, &before);
	caught = 0;
	raise(SIGUSR1);
	CHECK_FAILS(pselect(listener + 1, &in, NULL, NULL, NULL, &none), EINTR);
	CHECK(caught == SIGUSR1);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

void behaviour(void)
{
	int listener = tcp_listener(SOCK_NONBLOCK);

	times(listener);
	sets(listener);
	highest(listener);
	large_sets(listener);
	if (!getenv("BEHAVIOUR_IN_HANDLER"))
		signals(listener);
	close(listener);
}
