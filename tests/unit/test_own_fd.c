/* Descriptors of our own must be out of the application's way under any limit, and be found again
 * when it takes one of their numbers. */
#include "shim/process/fd_table.h"
#include "shim/process/own_fd.h"
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <unistd.h>

static int any_file(void)
{
	int fd = open("/dev/null", O_RDONLY);

	cr_assert_geq(fd, 0);
	return fd;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* Returns false where this process may not have such limits. */
static bool limit_to(rlim_t soft, rlim_t hard)
{
	struct rlimit limit = {.rlim_cur = soft, .rlim_max = hard};

	return !setrlimit(RLIMIT_NOFILE, &limit);
}

struct limits {
	rlim_t soft, hard;
	int lowest, highest; /* where ours must be */
};

ParameterizedTestParameters(own_fd, under_a_limit)
{
	static struct limits limits[] = {
		{256, 256, 65, 255},       /* as high as there is room */
		{256, 20000, 65, 255},     /* raising it would hand out what select() cannot */
		{1024, 1024, 65, 1023},    /* the usual service */
		{1024, 4096, 1024, 2047},  /* out of reach for the application */
		{1024, 20000, 1024, 2047}, /* the usual login */
		{4096, 4096, 1024, 4095},
		{4096, 20000, 1024, 4095}, /* not higher: the table below it costs memory */
		{20000, 20000, 3072, 4095},
	};

	return cr_make_param_array(struct limits, limits, sizeof(limits) / sizeof(limits[0]));
}

ParameterizedTest(struct limits *limits, own_fd, under_a_limit)
{
	struct rlimit after;

	if (!limit_to(limits->soft, limits->hard))
		cr_skip_test("the hard limit here is lower");
	for (int i = 0; i < 40; i++) {
		int plain = any_file();
		errno = 77;
		int ours = own_fd(plain);
		cr_expect_eq(errno, 77);
		cr_assert(ours >= limits->lowest && ours <= limits->highest,
			  "limits %d/%d: number %d", (int)limits->soft, (int)limits->hard, ours);
		cr_expect_not(is_open(plain));
		cr_expect(fcntl(ours, F_GETFD) & FD_CLOEXEC);
		cr_expect_eq(fd_get(ours).kind, FD_OURS);
	}
	getrlimit(RLIMIT_NOFILE, &after);
	cr_expect(after.rlim_cur == limits->soft && after.rlim_max == limits->hard,
		  "the limit is as it was");
	/* The application gets the lowest numbers as before. */
	cr_expect_lt(any_file(), 64);
}

Test(own_fd, errors_pass_through)
{
	cr_expect_eq(own_fd(-ENOSPC), -ENOSPC);
	own_fd_close(-1);
	own_fd_close(-ENOSPC);
}

Test(own_fd, no_number_is_left)
{
	limit_to(40, 40);
	int plain = any_file(), ours = own_fd(plain);
	cr_expect_lt(ours, 0);
	cr_expect_not(is_open(plain), "ownership went with the call");
}

Test(own_fd, closing)
{
	int ours = own_fd(any_file());

	own_fd_close(ours);
	cr_expect_not(is_open(ours));
	cr_expect_eq(fd_get(ours).kind, FD_UNKNOWN);
}

Test(own_fd, moving)
{
	static int holder;
	int was;

	holder = was = own_fd(any_file());
	cr_expect_null(own_fd_move(was), "nobody holds it yet");
	own_fd_hold(&holder);
	cr_expect_eq(own_fd_move(was), &holder);
	cr_expect_neq(holder, was);
	cr_expect(is_open(holder));
	cr_expect_eq(fd_get(holder).kind, FD_OURS);
	cr_expect_eq(fd_get(was).kind, FD_UNKNOWN, "the number is the application's");
	/* And again, under its new number. */
	was = holder;
	cr_expect_eq(own_fd_move(was), &holder);
	cr_expect_neq(holder, was);
	own_fd_close(holder);
	cr_expect_null(own_fd_move(holder));
	cr_expect_null(own_fd_move(-1));
	cr_expect_null(own_fd_move(0), "not ours");
}

Test(own_fd, places_of_holders_come_back)
{
	static int holders[3];

	for (int round = 0; round < 5000; round++) {
		for (int i = 0; i < 3; i++) {
			holders[i] = own_fd(any_file());
			own_fd_hold(&holders[i]);
			cr_assert_neq(fd_get(holders[i]).value, 0, "round %d", round);
		}
		for (int i = 0; i < 3; i++)
			own_fd_close(holders[i]);
	}
}

Test(own_fd, a_holder_of_nothing)
{
	static int holder = -ENOENT;

	own_fd_hold(&holder);
	cr_expect_eq(holder, -ENOENT);
}

/* An application may close what it does not know, by calls that we do not see. */
Test(own_fd, closed_behind_our_back)
{
	static int holder, other;
	int ends[2];

	holder = own_fd(any_file());
	own_fd_hold(&holder);
	cr_expect(own_fd_holds(holder) && own_fd_is_held(&holder));
	close(holder);
	cr_expect(!own_fd_holds(holder) && !own_fd_is_held(&holder));
	cr_assert_eq(pipe(ends), 0);
	cr_assert_eq(dup2(ends[0], holder), holder);
	cr_expect(!own_fd_holds(holder), "something else has the number");
	cr_expect_null(own_fd_move(holder), "nothing of ours has to move");
	own_fd_mark(holder);
	other = holder;
	own_fd_hold(&other);
	cr_expect(own_fd_holds(holder) && own_fd_is_held(&other));
	cr_expect(!own_fd_is_held(&holder), "ours again, but another's");
	int number = holder;
	own_fd_drop(&holder);
	cr_expect(is_open(number), "whose it is keeps it");
	cr_expect_eq(holder, -1);
	own_fd_drop(&other);
	cr_expect(!is_open(number));
}

Test(own_fd, the_applications_number_is_not_closed)
{
	int ours = own_fd(any_file()), ends[2];

	close(ours);
	cr_assert_eq(pipe(ends), 0);
	cr_assert_eq(dup2(ends[0], ours), ours);
	own_fd_close(ours);
	cr_expect(is_open(ours));
	cr_expect_eq(fd_get(ours).kind, FD_UNKNOWN);
}

static _Atomic bool stop;

static void *own_and_close(void *unused)
{
	while (!stop)
		own_fd_close(own_fd(open("/dev/null", O_RDONLY)));
	return unused;
}

/* The limit is the application's, also while threads of ours are about to raise it. */
Test(own_fd, a_limit_set_meanwhile)
{
	pthread_t thread[2];
	struct rlimit after;

	if (!limit_to(FD_SETSIZE, 4096))
		cr_skip_test("the hard limit here is lower");
	for (rlim_t soft = FD_SETSIZE; soft < FD_SETSIZE + 300; soft++) {
		stop = false;
		for (int t = 0; t < 2; t++)
			cr_assert_eq(pthread_create(&thread[t], NULL, own_and_close, NULL), 0);
		cr_assert(limit_to(soft, 4096));
		stop = true;
		for (int t = 0; t < 2; t++)
			pthread_join(thread[t], NULL);
		getrlimit(RLIMIT_NOFILE, &after);
		cr_assert_eq(after.rlim_cur, soft);
	}
}
