/* sched_setaffinity() and pthread_setaffinity_np(): what they set and refuse; a thread that moves
 * takes its connections with it. */
#include "tests/behaviour/behaviour.h"
#include <poll.h>
#include <pthread.h>
#include <sched.h>

static cpu_set_t only(int cpu)
{
	cpu_set_t mask;

	CPU_ZERO(&mask);
	CPU_SET(cpu, &mask);
	return mask;
}

static bool is_on(int cpu)
{
	cpu_set_t mask, wanted = only(cpu);

	return !sched_getaffinity(0, sizeof(mask), &mask) && CPU_EQUAL(&mask, &wanted);
}

static void refusals(void)
{
	cpu_set_t nothing, one = only(0);

	CPU_ZERO(&nothing);
	CHECK_FAILS(sched_setaffinity(0, sizeof(nothing), &nothing), EINVAL);
	CHECK_FAILS(sched_setaffinity(0, 0, &one), EINVAL);
	CHECK_FAILS(sched_setaffinity(-1, sizeof(one), &one), ESRCH);
	CHECK_FAILS(sched_setaffinity(0, sizeof(one), NULL), EFAULT);
	CHECK_FAILS(sched_setaffinity(0x3ffffffe, sizeof(one), &one), ESRCH);
	errno = 77;
	CHECK(pthread_setaffinity_np(pthread_self(), sizeof(nothing), &nothing) == EINVAL);
	CHECK(pthread_setaffinity_np(pthread_self(), sizeof(one), NULL) == EFAULT);
	CHECK(sched_setaffinity(0, sizeof(one), &one) == 0 && errno == 77);
	CHECK(pthread_setaffinity_np(pthread_self(), sizeof(one), &one) == 0 && errno == 77);
}

/* On its CPU a connection comes by way of a member, wherever it has moved to. */
static void follows(int listener, int cpu)
{
	struct pollfd fd = {.fd = listener, .events = POLLIN};

	CHECK(is_on(cpu));
	CHECK(poll(&fd, 1, 10) == 0);
	for (enum way way = LOOPBACK; way < WAYS; way++) {
		int one = connected(way, port_of(listener));
		CHECK(poll(&fd, 1, 2000) == 1);
		if (is_steered() && way == (cpu ? CPU1 : CPU0))
			CHECK(waits_at_member(listener));
		int accepted = accept(listener, NULL, NULL);
		CHECK(accepted >= 0 && is_pair(one, accepted));
		close(accepted);
		gone(one);
	}
}

void behaviour(void)
{
	int listener = tcp_listener(SOCK_NONBLOCK);
	cpu_set_t mask;

	refusals();
	follows(listener, 0);
	mask = only(1);
	CHECK(!sched_setaffinity(0, sizeof(mask), &mask));
	follows(listener, 1);
	mask = only(0);
	CHECK(!pthread_setaffinity_np(pthread_self(), sizeof(mask), &mask));
	follows(listener, 0);
	mask = only(1);
	CHECK(!sched_setaffinity(getpid(), sizeof(mask), &mask));
	follows(listener, 1);
	unpin();
	for (enum way way = LOOPBACK; way < WAYS; way++) {
		int one = connected(way, port_of(listener));
		CHECK(is_readable(listener, 2000));
		int accepted = accept(listener, NULL, NULL);
		CHECK(accepted >= 0 && is_pair(one, accepted));
		close(accepted);
		gone(one);
	}
	pin(0);
}
