/* Who may be a single acceptor: places are few, and are given back. */
#include "shim/group/deal.h"
#include "shim/process/runtime.h"
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define MANY 40 /* more threads than there are places */
#define SOON 1500

static pthread_barrier_t all_have_accepted, all_may_end;

static void start(void)
{
	setenv("RSSSHIM_SHIM_LOG", "error", 1);
	runtime_start();
}

TestSuite(deal, .init = start, .timeout = 10);

/* Whether it is noted who takes this one. A number of its own for each thread. */
static bool accept_one(int fd)
{
	uint32_t value = deal_accepted();

	fd_set_word(fd, FD_PLAIN, value);
	return value;
}

static bool accept_and_take(int fd)
{
	bool noted = accept_one(fd);

	deal_taken(fd);
	return noted;
}

static void *accept_once(void *unused)
{
	accept_one(100);
	return unused;
}

Test(deal, places_of_threads_that_ended)
{
	for (int i = 0; i < MANY; i++) {
		pthread_t thread;
		cr_assert_eq(pthread_create(&thread, NULL, accept_once, NULL), 0);
		pthread_join(thread, NULL);
	}
	cr_assert(accept_one(100));
}

Test(deal, who_deals_to_nobody_is_looked_at_again)
{
	int noted = 0, later = 0;

	for (int i = 0; i < SOON; i++)
		noted += accept_and_take(100);
	cr_assert_geq(noted, 8, "at first");
	cr_assert_leq(noted, 100, "not all the time");
	for (int i = 0; i < SOON; i++)
		later += accept_and_take(100);
	cr_assert_geq(later, 8, "and later");
}

static void *deal_to_itself(void *number)
{
	int fd = 100 + (int)(long)number;

	for (int i = 0; i < 100; i++)
		accept_and_take(fd);
	pthread_barrier_wait(&all_have_accepted);
	pthread_barrier_wait(&all_may_end);
	return NULL;
}

Test(deal, workers_that_accept_for_themselves_leave_room)
{
	pthread_t thread[MANY];

	pthread_barrier_init(&all_have_accepted, NULL, MANY + 1);
	pthread_barrier_init(&all_may_end, NULL, MANY + 1);
	for (long i = 0; i < MANY; i++)
		cr_assert_eq(pthread_create(&thread[i], NULL, deal_to_itself, (void *)i), 0);
	pthread_barrier_wait(&all_have_accepted);
	cr_assert(accept_one(99));
	pthread_barrier_wait(&all_may_end);
	for (int i = 0; i < MANY; i++)
		pthread_join(thread[i], NULL);
}
