#include "shim/kernel/socket.h"
#include "shim/migrate/migrate.h"
#include "shim/migrate/moves.h"
#include "shim/process/fd_table.h"
#include "shim/process/runtime.h"
#include "shim/process/self.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Two instances of the application, and a connection with something to read. */
static int a, b, fd, peer;

/* What moves see of the kernel. */
static struct {
	int adds;
	void (*before_del)(void);
} seen;

static int control_seen(int epfd, int op, int number, struct epoll_event *event)
{
	seen.adds += op == EPOLL_CTL_ADD;
	if (op == EPOLL_CTL_DEL && seen.before_del)
		seen.before_del();
	return epoll_ctl(epfd, op, number, event);
}

static void start(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(in);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	setenv("RSSSHIM_MIGRATE_MODE", "epoll", 1);
	runtime_start();
	migrate_start(control_seen);
	cr_assert(migrate_is_on);
	cr_assert_eq(bind(listener, (struct sockaddr *)&in, length), 0);
	listen(listener, 1);
	getsockname(listener, (struct sockaddr *)&in, &length);
	peer = socket(AF_INET, SOCK_STREAM, 0);
	cr_assert_eq(connect(peer, (struct sockaddr *)&in, length), 0);
	fd = accept(listener, NULL, NULL);
	close(listener);
	a = epoll_create1(0);
	b = epoll_create1(0);
	migrate_before_wait(b);
	cr_assert_eq(write(peer, "x", 1), 1);
}

TestSuite(migrate, .init = start, .timeout = 20);

static int control(int epfd, int op, uint32_t events, uint64_t data)
{
	struct epoll_event event = {.events = events, .data.u64 = data};

	return migrate_control(epfd, op, fd, &event) ? -errno : 0;
}

/* Data of what the instance reports now; 0: nothing. */
static uint64_t told(int epfd)
{
	struct epoll_event event[2];
	int count = epoll_wait(epfd, event, 2, 0);

	cr_assert_leq(count, 1);
	return count > 0 ? event[0].data.u64 : 0;
}

static void move(int to)
{
	struct place place;

	cr_assert(place_take(fd, &place));
	place_give(fd, moves_transfer(fd, place, instance_of(to)));
}

Test(migrate, what_is_registered_is_where_it_was_put)
{
	cr_assert_eq(control(a, EPOLL_CTL_ADD, EPOLLIN, 7), 0);
	cr_assert_eq(told(a), 7);
	cr_assert_eq(told(b), 0);
	cr_assert_eq(place_get(fd).state, PLACE_MOVES);
	cr_assert_eq(place_get(fd).now, instance_of(a));
}

Test(migrate, a_move_takes_it_along_and_reports_what_is_ready)
{
	control(a, EPOLL_CTL_ADD, EPOLLIN | EPOLLET, 7);
	cr_assert_eq(told(a), 7);
	cr_assert_eq(told(a), 0, "an edge is told once");
	move(b);
	cr_assert_eq(told(a), 0);
	cr_assert_eq(told(b), 7);
}

Test(migrate, changes_go_where_it_is_whichever_instance_they_name)
{
	control(a, EPOLL_CTL_ADD, EPOLLIN, 7);
	move(b);
	cr_assert_eq(control(a, EPOLL_CTL_MOD, EPOLLIN, 8), 0);
	cr_assert_eq(told(b), 8);
	cr_assert_eq(control(b, EPOLL_CTL_MOD, EPOLLIN, 9), 0);
	move(a);
	cr_assert_eq(told(a), 9, "what was modified is what moves");
	move(b);
	cr_assert_eq(control(a, EPOLL_CTL_DEL, 0, 0), 0);
	cr_assert_eq(told(a) + told(b), 0);
	cr_assert_eq(control(a, EPOLL_CTL_DEL, 0, 0), -ENOENT);
	cr_assert_eq(control(a, EPOLL_CTL_MOD, EPOLLIN, 9), -ENOENT);
}

Test(migrate, adding_what_is_there_fails_and_changes_nothing)
{
	control(a, EPOLL_CTL_ADD, EPOLLIN, 7);
	move(b);
	cr_assert_eq(control(a, EPOLL_CTL_ADD, EPOLLIN, 8), -EEXIST);
	cr_assert_eq(control(b, EPOLL_CTL_ADD, EPOLLIN, 8), -EEXIST);
	cr_assert_eq(told(b), 7);
	cr_assert_eq(told(a), 0);
}

Test(migrate, after_it_was_taken_out_it_can_be_added_again)
{
	control(a, EPOLL_CTL_ADD, EPOLLIN, 7);
	move(b);
	control(a, EPOLL_CTL_DEL, 0, 0);
	cr_assert_eq(control(a, EPOLL_CTL_ADD, EPOLLIN, 8), 0);
	cr_assert_eq(told(a), 8);
}

Test(migrate, in_a_second_instance_it_is_in_two)
{
	int c = epoll_create1(0);

	control(a, EPOLL_CTL_ADD, EPOLLIN, 7);
	migrate_before_wait(c);
	move(b);
	cr_assert_eq(control(c, EPOLL_CTL_ADD, EPOLLIN, 8), 0);
	cr_assert_eq(told(a), 7, "where the application put it first");
	cr_assert_eq(told(c), 8);
	cr_assert_eq(told(b), 0);
	cr_assert_eq(control(c, EPOLL_CTL_DEL, 0, 0), 0);
	cr_assert_eq(told(a), 7);
	cr_assert_eq(place_get(fd).state, PLACE_LEFT);
}

Test(migrate, closing_forgets)
{
	control(a, EPOLL_CTL_ADD, EPOLLIN, 7);
	migrate_forget(fd);
	cr_assert_eq(place_get(fd).state, PLACE_NONE);
	cr_assert_eq(instance_worker(instance_of(a))->held, 0);
}

Test(migrate, closed_behind_our_back_the_number_can_be_added_again)
{
	control(a, EPOLL_CTL_ADD, EPOLLIN, 7);
	move(b);
	int copy = dup(peer);
	dup2(copy, fd); /* another connection has the number now */
	cr_assert_eq(control(a, EPOLL_CTL_ADD, EPOLLOUT, 8), 0);
	cr_assert_eq(told(a), 8);
	cr_assert_eq(told(b), 0);
	cr_assert_eq(instance_worker(instance_of(b))->held, 0);
	cr_assert_eq(instance_worker(instance_of(a))->held, 1);
}

Test(migrate, closed_behind_our_back_what_has_the_number_now_is_not_moved)
{
	control(a, EPOLL_CTL_ADD, EPOLLIN, 7);
	dup2(dup(peer), fd); /* another connection, which the application has not added yet */
	seen.adds = 0;
	move(b);
	cr_assert_eq(seen.adds, 0, "not for a moment");
	cr_assert_eq(place_get(fd).state, PLACE_NONE);
	cr_assert_eq(instance_worker(instance_of(a))->held, 0);
}

Test(migrate, what_succeeds_leaves_errno)
{
	errno = ERANGE;
	cr_assert_eq(control(a, EPOLL_CTL_ADD, EPOLLIN, 7), 0);
	cr_assert_eq(errno, ERANGE);
	move(b);
	cr_assert_eq(errno, ERANGE);
	cr_assert_eq(control(a, EPOLL_CTL_MOD, EPOLLIN, 8), 0);
	cr_assert_eq(errno, ERANGE);
	cr_assert_eq(control(a, EPOLL_CTL_DEL, 0, 0), 0);
	cr_assert_eq(errno, ERANGE);
}

Test(migrate, an_exclusive_one_is_where_it_was_put)
{
	control(a, EPOLL_CTL_ADD, EPOLLIN, 7);
	move(b);
	int copy = dup(fd);
	migrate_tie(fd, copy);
	struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.u64 = 8};
	cr_assert_eq(migrate_control(a, EPOLL_CTL_ADD, copy, &event), 0);
	cr_assert_eq(told(a), 8);
	cr_assert_eq(told(b), 7);
}

Test(migrate, copies_stay_together)
{
	control(a, EPOLL_CTL_ADD, EPOLLIN, 7);
	move(b);
	int copy = dup(fd);
	migrate_tie(fd, copy);
	cr_assert_eq(place_get(fd).state, PLACE_STAYS);
	struct epoll_event event = {.events = EPOLLOUT, .data.u64 = 8};
	cr_assert_eq(migrate_control(a, EPOLL_CTL_ADD, copy, &event), 0);
	cr_assert_eq(place_get(copy).state, PLACE_STAYS);
	cr_assert_eq(place_get(copy).now, instance_of(b), "one thread serves both");
}

Test(migrate, an_instance_that_is_closed_gives_back_what_came_to_it)
{
	control(a, EPOLL_CTL_ADD, EPOLLIN, 7);
	move(b);
	migrate_forget(b);
	close(b);
	cr_assert_eq(told(a), 7);
	cr_assert_eq(place_get(fd).now, instance_of(a));
}

static atomic_bool is_moving;

static void dawdle(void)
{
	is_moving = true;
	usleep(100000); /* long enough for who does not wait */
}

static void *move_to_b(void *unused)
{
	seen.before_del = dawdle;
	move(b);
	return unused;
}

Test(migrate, an_instance_that_is_closed_gives_back_what_is_just_coming)
{
	pthread_t thread;

	control(a, EPOLL_CTL_ADD, EPOLLIN, 7);
	pthread_create(&thread, NULL, move_to_b, NULL);
	while (!is_moving)
		sched_yield();
	migrate_forget(b);
	close(b);
	pthread_join(thread, NULL);
	cr_assert_eq(told(a), 7);
	cr_assert_eq(place_get(fd).now, instance_of(a));
}

static void *add_to_b(void *unused)
{
	struct place place;
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 7};

	cr_assert(place_take(fd, &place));
	is_moving = true;
	usleep(100000);
	epoll_ctl(b, EPOLL_CTL_ADD, fd, &event);
	place_give(fd, (struct place){.state = PLACE_MOVES,
				      .origin = (uint8_t)instance_of(a),
				      .now = (uint8_t)instance_of(b)});
	return unused;
}

Test(migrate, a_change_finds_what_is_just_being_added)
{
	pthread_t thread;

	instance_enter(a);
	pthread_create(&thread, NULL, add_to_b, NULL);
	while (!is_moving)
		sched_yield();
	cr_assert_eq(control(a, EPOLL_CTL_MOD, EPOLLIN, 8), 0);
	cr_assert_eq(told(b), 8);
	pthread_join(thread, NULL);
}

Test(migrate, an_instance_is_known_while_somebody_copies_it)
{
	unsigned number = instance_enter(a);
	struct place place;

	cr_assert(place_take(a, &place));
	cr_assert_eq(instance_of(a), number);
	place_give(a, place);
}

Test(migrate, with_an_instance_go_its_registrations_wherever_they_are)
{
	control(a, EPOLL_CTL_ADD, EPOLLIN, 7);
	move(b);
	migrate_forget(a);
	close(a);
	cr_assert_eq(told(b), 0);
	cr_assert_eq(place_get(fd).state, PLACE_NONE);
}

Test(migrate, a_copy_of_an_instance_is_the_instance)
{
	int copy = dup(a);

	migrate_before_wait(a);
	migrate_tie(a, copy);
	control(copy, EPOLL_CTL_ADD, EPOLLIN, 7);
	migrate_forget(a);
	close(a);
	cr_assert_eq(control(copy, EPOLL_CTL_MOD, EPOLLIN, 8), 0);
	cr_assert_eq(told(copy), 8);
}

Test(migrate, what_is_no_connection_is_left_alone)
{
	int pipes[2];
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 7};

	cr_assert_eq(pipe(pipes), 0);
	cr_assert_eq(migrate_control(a, EPOLL_CTL_ADD, pipes[0], &event), 0);
	cr_assert_eq(migrate_control(b, EPOLL_CTL_ADD, pipes[0], &event), 0);
	cr_assert_eq(place_get(pipes[0]).state, PLACE_NONE);
	cr_assert_eq(migrate_control(a, EPOLL_CTL_DEL, pipes[0], &event), 0);
	/* One that could not be adopted. */
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	cr_assert_eq(listen(listener, 1), 0);
	fd_set_word(listener, FD_PLAIN, 0);
	cr_assert_eq(migrate_control(a, EPOLL_CTL_ADD, listener, &event), 0);
	cr_assert_eq(place_get(listener).state, PLACE_NONE);
	cr_assert_not(instance_at(instance_of(a))->serves);
}

Test(migrate, a_move_of_what_is_gone_leaves_nothing_behind)
{
	control(a, EPOLL_CTL_ADD, EPOLLIN, 7);
	epoll_ctl(a, EPOLL_CTL_DEL, fd, NULL); /* behind our back */
	move(b);
	cr_assert_eq(told(b), 0);
	cr_assert_eq(place_get(fd).state, PLACE_NONE);
}

Test(migrate, a_fork_ends_it)
{
	control(a, EPOLL_CTL_ADD, EPOLLIN, 7);
	cr_assert(instance_is_open(instance_of(a)));
	pid_t child = fork();
	if (!child)
		_exit(instance_is_open(instance_of(a)) || control(a, EPOLL_CTL_MOD, EPOLLIN, 8));
	int status;
	waitpid(child, &status, 0);
	cr_assert_eq(status, 0);
	cr_assert_not(instance_is_open(instance_of(a)));
	cr_assert_eq(told(a), 8, "the instance is shared, and so is what is in it");
}

static void *wait_too(void *unused)
{
	migrate_before_wait(b);
	return unused;
}

Test(migrate, two_threads_at_one_instance_end_it)
{
	pthread_t thread;

	cr_assert(instance_is_open(instance_of(b)));
	pthread_create(&thread, NULL, wait_too, NULL);
	pthread_join(thread, NULL);
	cr_assert_not(instance_is_open(instance_of(b)));
}

Test(migrate, who_comes_after_a_thread_that_ended_takes_over)
{
	pthread_t thread;
	int c = epoll_create1(0);

	b = c;
	pthread_create(&thread, NULL, wait_too, NULL);
	pthread_join(thread, NULL);
	usleep(1000);
	migrate_before_wait(c);
	cr_assert(instance_is_open(instance_of(c)));
	cr_assert_eq(instance_at(instance_of(c))->tid, self_tid());
}

/* --- who is given connections ------------------------------------------------------------ */

static void put_home(int epfd, int cpu)
{
	cpu_set_t one, all;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	memset(&all, 0xff, sizeof(all));
	placement_set_home(instance_worker(instance_of(epfd)), &one, &all);
}

static void *wait_and_stay(void *epfd)
{
	migrate_before_wait(*(int *)epfd);
	is_moving = true;
	pause();
	return NULL;
}

static void start_worker(int *epfd)
{
	pthread_t thread;

	is_moving = false;
	pthread_create(&thread, NULL, wait_and_stay, epfd);
	while (!is_moving)
		sched_yield();
}

Test(migrate, who_waits_without_connections_serves_none)
{
	start_worker(&a);
	cr_assert_not(instance_at(instance_of(a))->serves);
	fd_set_word(peer, FD_SOCKET, SOCKET_CALLED);
	struct epoll_event event = {.events = EPOLLOUT};
	cr_assert_eq(migrate_control(a, EPOLL_CTL_ADD, peer, &event), 0);
	cr_assert_not(instance_at(instance_of(a))->serves, "that one was made from here");
	control(a, EPOLL_CTL_ADD, EPOLLIN, 7);
	cr_assert(instance_at(instance_of(a))->serves);
	move(b);
	cr_assert_not(instance_at(instance_of(b))->serves, "it was not the application");
}

Test(migrate, who_is_stuck_is_given_none)
{
	start_worker(&a);
	unsigned number = instance_of(a);
	put_home(a, 3);
	cr_assert_eq(instance_of_cpu(3), number);
	instance_at(number)->came_ms -= 5000;
	cr_assert_eq(instance_of_cpu(3), number, "nothing to do");
	control(a, EPOLL_CTL_ADD, EPOLLIN, 7);
	cr_assert_eq(instance_of_cpu(3), 0);
	instance_at(number)->came_ms += 5000;
	put_home(a, 3); /* it came around again */
	cr_assert_eq(instance_of_cpu(3), number);
}

Test(migrate, who_has_ended_is_given_none)
{
	pthread_t thread;
	int c = b = epoll_create1(0);

	pthread_create(&thread, NULL, wait_too, NULL);
	pthread_join(thread, NULL);
	start_worker(&a);
	put_home(a, 3);
	put_home(c, 3);
	instance_worker(instance_of(a))->held = 1;
	usleep(1000);
	cr_assert_eq(instance_of_cpu(3), instance_of(a), "though it has more");
}

Test(migrate, what_is_remembered_is_where_a_connection_came_in)
{
	migrate_before_wait(a);
	put_home(a, CPU_SETSIZE - 1);
	control(a, EPOLL_CTL_ADD, EPOLLIN, 7);
	migrate_before_wait(a);
	cr_assert_eq(place_registration(fd)->ingress, 1,
		     "not what may be done with it: NICs change");
}

static void nobody_on_cpu_3(void)
{
	cr_assert_eq(instance_of_cpu(3), 0);
}

Test(migrate, who_is_closed_is_given_none_meanwhile)
{
	control(a, EPOLL_CTL_ADD, EPOLLIN, 7);
	move(b);
	put_home(b, 3);
	cr_assert_eq(instance_of_cpu(3), instance_of(b));
	seen.before_del = nobody_on_cpu_3;
	migrate_forget(b);
	cr_assert_eq(place_get(fd).now, instance_of(a));
}

#define ENDED 20

Test(migrate, what_was_brought_to_those_who_ended_goes_back)
{
	int copies[ENDED], left = ENDED;

	control(a, EPOLL_CTL_ADD, EPOLLIN, 7);
	for (int i = 0; i < ENDED; i++) {
		pthread_t thread;
		struct place place;
		struct epoll_event event = {.events = EPOLLIN, .data.u64 = 8};
		copies[i] = dup(fd);
		cr_assert_eq(migrate_control(a, EPOLL_CTL_ADD, copies[i], &event), 0);
		b = epoll_create1(0);
		pthread_create(&thread, NULL, wait_too, NULL);
		pthread_join(thread, NULL);
		cr_assert(place_take(copies[i], &place));
		place_give(copies[i], moves_transfer(copies[i], place, instance_of(b)));
		cr_assert_eq(place_get(copies[i]).now, instance_of(b));
	}
	for (int ms = 0; left && ms < 2000; ms++) {
		usleep(1000);
		migrate_before_wait(a);
		left = 0;
		for (int i = 0; i < ENDED; i++)
			left += place_get(copies[i]).now != instance_of(a);
	}
	cr_assert_eq(left, 0);
}

Test(migrate, who_never_gets_done_with_moving_is_not_waited_for)
{
	start_worker(&a);
	instance_begin_moving(instance_of(a)); /* and jumped out of it */
	instance_close(instance_of(a));
	cr_assert_not(instance_is_open(instance_of(a)));
}

Test(migrate, where_a_connection_came_in)
{
	cr_assert_eq(socket_interface(fd), 1, "over loopback");
	cr_assert_eq(socket_interface(peer), 0, "made from here");
	cr_assert_eq(socket_interface(-1), 0);
	int on = 1;
	socklen_t length = sizeof(on);
	getsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, &length);
	cr_assert_eq(on, 0, "left as it was");
}

/* --- the word ---------------------------------------------------------------------------- */

#define TURNS 20000

static int shared; /* guarded by a word */

static void *increment(void *unused)
{
	for (int i = 0; i < TURNS; i++) {
		struct place place;
		cr_assert(place_take(500, &place));
		shared++;
		place_give(500, place);
	}
	return unused;
}

Test(migrate, a_word_is_taken_by_one_at_a_time)
{
	pthread_t thread[3];

	for (int i = 0; i < 3; i++)
		pthread_create(&thread[i], NULL, increment, NULL);
	for (int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	cr_assert_eq(shared, 3 * TURNS);
}

Test(migrate, its_holder_is_not_made_to_wait_for_itself)
{
	struct place place, again;

	cr_assert(place_take(500, &place));
	cr_assert_not(place_take(500, &again));
	cr_assert_not(place_try(500, &again));
	place_give(500, place);
	cr_assert(place_try(500, &again));
}

Test(migrate, a_word_taken_before_a_fork_is_free_in_the_child)
{
	struct place place;

	cr_assert(place_take(500, &place));
	pid_t child = fork();
	if (!child)
		_exit(!place_take(500, &place) || place.state != PLACE_NONE);
	int status;
	waitpid(child, &status, 0);
	cr_assert_eq(status, 0);
}

Test(migrate, numbers_out_of_range_have_no_word)
{
	struct place place;

	cr_assert_not(place_take(-1, &place));
	cr_assert_not(place_take(INT32_MAX, &place));
	cr_assert_eq(place_get(-1).state, PLACE_NONE);
}
