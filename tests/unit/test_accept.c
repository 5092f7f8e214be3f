/* Hand-over, as accept() sees it: what was accepted for another CPU's worker goes into its mailbox,
 * and comes out there as if it had been accepted. */
#include "shim/group/accept.h"
#include "shim/group/listener.h"
#include "shim/group/mailbox.h"
#include "shim/group/mark.h"
#include "shim/group/ready.h"
#include "shim/group/stand_in.h"
#include "shim/group/watch.h"
#include "shim/kernel/clock.h"
#include "shim/process/fd_table.h"
#include "shim/process/runtime.h"
#include "shim/process/self.h"
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define UNTOUCHED 77 /* errno of the application */
#define OTHER     1  /* the slot and the CPU of the other worker */

static struct sockaddr_in in;
static int fd, listener;
static struct group *group;

/* How many connections are for the other worker's CPU, of those that are accepted next. */
static int for_other;

static struct group *make_group(void)
{
	struct self_guard guard;
	const char *why;
	int error;

	self_lock(&guard);
	group = group_build_mailboxes(fd, &why, &error);
	cr_assert(group, "%s: error %d", why, -error);
	listener = listener_enter(fd, group, false);
	self_unlock(&guard);
	return group;
}

/* It never looks stuck. */
static void add_other_worker(void)
{
	uint64_t later = clock_ms() + 60000;
	struct slot_set home = {0};
	struct ledger_claim claim = ledger_claim(
		group->ledger, (struct ledger_thread){.pid = getpid(), .tid = gettid()});

	slot_add(&home, OTHER);
	cr_assert(ledger_report(group->ledger, claim, gettid(), &home, later));
}

/* A listener on loopback, which the policy says spreads over two CPUs, with mailboxes. */
static void start(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	socklen_t length = sizeof(in);

	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET))
		cr_skip_test("no network namespace can be had here");
	int any = socket(AF_INET, SOCK_DGRAM, 0);
	cr_assert_eq(ioctl(any, SIOCSIFFLAGS, &request), 0);
	close(any);
	setenv("RSSSHIM_NIC_LO_HASH", "toeplitz", 1);
	setenv("RSSSHIM_NIC_LO_HASH_KEY",
	       "6d:5a:56:da:25:5b:0e:c2:41:67:25:3d:43:a3:8f:b0:d0:ca:2b:cb:"
	       "ae:7b:30:b4:77:cb:2d:a3:80:30:f2:0c:6a:42:b7:3b:be:ac:01:fa",
	       1);
	setenv("RSSSHIM_NIC_LO_INDIRECTION", "equal 2", 1);
	setenv("RSSSHIM_NIC_LO_QUEUE_CPUS", "0 1", 1);
	setenv("RSSSHIM_LISTEN_BUCKETS", "0-1", 1);
	setenv("RSSSHIM_SHIM_LOG", "error", 1);
	runtime_start();
	runtime_discover();
	mark_start();
	stand_in_start();

	in = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	cr_assert_eq(bind(fd, (void *)&in, sizeof(in)), 0);
	cr_assert_eq(listen(fd, 256), 0);
	cr_assert_eq(getsockname(fd, (void *)&in, &length), 0);
	make_group();
	add_other_worker();
	for_other = 0;
}

TestSuite(accept, .init = start, .timeout = 10);

/* Says afterwards that the packets came elsewhere, as nobody here can have them do. */
static int real(int from, struct sockaddr *address, socklen_t *length, int flags)
{
	int accepted = accept4(from, address, length, flags), cpu = 0;

	if (accepted < 0)
		return accepted;
	if (for_other) {
		for_other--;
		cpu = OTHER;
	}
	cr_assert_eq(setsockopt(accepted, SOL_SOCKET, SO_INCOMING_CPU, &cpu, sizeof(cpu)), 0);
	return accepted;
}

static int accept_one(struct sockaddr_in *from, int flags)
{
	socklen_t length = sizeof(*from);

	errno = UNTOUCHED;
	return accept_from(listener, fd, (struct sockaddr *)from, from ? &length : NULL, flags,
			   real);
}

/* What the other worker gets. */
static int accept_other(struct sockaddr_in *from, int flags)
{
	ready_add((struct ready_member){.group = (uint16_t)group_number(group), .slot = OTHER});
	return accept_one(from, flags);
}

static int client(struct sockaddr_in *address)
{
	socklen_t length = sizeof(*address);
	int client_fd = socket(AF_INET, SOCK_STREAM, 0);

	cr_assert_eq(connect(client_fd, (void *)&in, sizeof(in)), 0);
	cr_assert_eq(getsockname(client_fd, (void *)address, &length), 0);
	return client_fd;
}

static void clients(int count)
{
	struct sockaddr_in address;

	while (count--)
		client(&address);
}

static void reset(int client_fd)
{
	struct linger at_once = {.l_onoff = 1};

	setsockopt(client_fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(client_fd);
}

static void set_blocking(void)
{
	cr_assert_eq(fcntl(fd, F_SETFL, 0), 0);
}

static void pin(int cpu)
{
	cpu_set_t mask;

	CPU_ZERO(&mask);
	CPU_SET((unsigned)cpu, &mask);
	if (sched_setaffinity(0, sizeof(mask), &mask))
		cr_skip_test("there is no CPU %d for this test", cpu);
}

Test(accept, comes_out_at_the_other_worker)
{
	struct sockaddr_in address, from = {0};

	client(&address);
	for_other = 1;
	cr_assert_eq(accept_one(&from, 0), -1);
	cr_assert_eq(errno, EAGAIN);
	cr_assert_eq(from.sin_port, 0, "nothing is told of what was not accepted");
	int accepted = accept_other(&from, SOCK_NONBLOCK);
	cr_assert_geq(accepted, 0);
	cr_assert_eq(errno, UNTOUCHED);
	cr_assert_eq(from.sin_port, address.sin_port);
	cr_assert(fcntl(accepted, F_GETFL) & O_NONBLOCK);
	cr_assert_eq(accept_other(&from, 0), -1);
	cr_assert_eq(errno, EAGAIN);
}

Test(accept, the_address_of_a_client_that_is_gone)
{
	struct sockaddr_in address, from = {0};

	reset(client(&address));
	for_other = 1;
	cr_assert_eq(accept_one(NULL, 0), -1);
	cr_assert_geq(accept_other(&from, 0), 0);
	cr_assert_eq(from.sin_port, address.sin_port);
	cr_assert_eq(from.sin_addr.s_addr, address.sin_addr.s_addr);
}

Test(accept, an_address_that_has_no_room)
{
	struct sockaddr_in address;
	uint8_t room[sizeof(address)];
	socklen_t length = 4;

	for (int other = 0; other < 2; other++) {
		client(&address);
		if (other) {
			for_other = 1;
			cr_assert_eq(accept_one(NULL, 0), -1);
			ready_add((struct ready_member){.group = (uint16_t)group_number(group),
							.slot = OTHER});
		}
		memset(room, 0xee, sizeof(room));
		length = 4;
		cr_assert_geq(accept_from(listener, fd, (void *)room, &length, 0, real), 0);
		cr_assert_eq(length, sizeof(address));
		cr_assert_arr_eq(room, (uint8_t *)&address, 4);
		cr_assert_eq(room[4], 0xee);
	}
	clients(2);
	length = (socklen_t)-1;
	cr_assert_eq(accept_from(listener, fd, (void *)room, &length, 0, real), -1);
	cr_assert_eq(errno, EINVAL);
	cr_assert_eq(accept_from(listener, fd, (void *)room, NULL, 0, real), -1);
	cr_assert_eq(errno, EFAULT);
}

Test(accept, without_a_descriptor_left_it_stays)
{
	struct sockaddr_in address, from = {0};
	struct rlimit limit, none;

	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	client(&address);
	for_other = 1;
	cr_assert_eq(accept_one(NULL, 0), -1);
	none = limit;
	none.rlim_cur = (rlim_t)dup(fd);
	close((int)none.rlim_cur);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(accept_other(&from, 0), -1);
		cr_assert_eq(errno, EMFILE);
	}
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	cr_assert_geq(accept_other(&from, 0), 0);
	cr_assert_eq(from.sin_port, address.sin_port);
}

Test(accept, what_was_handed_over_leaves_no_error)
{
	clients(3);
	for_other = 2;
	cr_assert_geq(accept_one(NULL, 0), 0);
	cr_assert_eq(errno, UNTOUCHED);
	cr_assert_eq(mailbox_length(group, OTHER), 2);
}

/* Nobody accepts for others only. */
Test(accept, no_more_than_so_many_in_a_row)
{
	clients(200);
	for_other = 200;
	cr_assert_geq(accept_one(NULL, 0), 0);
	cr_assert_eq(mailbox_length(group, OTHER), 64);
}

static _Atomic int misses, asking = 4;

static void *ask_for_other(void *unused)
{
	int cpu = OTHER, any = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(any, SOL_SOCKET, SO_INCOMING_CPU, &cpu, sizeof(cpu));
	for (int i = 0; i < 100000; i++)
		misses += mailbox_of(group, NULL, any) != OTHER;
	close(any);
	asking--;
	return unused;
}

/* Whatever else changes: a worker that is there all the time is seen all the time. */
Test(accept, several_threads_learn_who_is_there)
{
	pthread_t thread[4];

	/* At the end of the list, which takes time to read. */
	for (int i = 0; i < LEDGER_WATCHES_MAX - 2; i++)
		ledger_claim(group->ledger,
			     (struct ledger_thread){.pid = getpid(), .tid = gettid()});
	add_other_worker();
	group->ledger->watch[0].state = LEDGER_WATCH_FREE;
	for (int i = 0; i < 4; i++)
		cr_assert_eq(pthread_create(&thread[i], NULL, ask_for_other, NULL), 0);
	while (asking) {
		ledger_changed(group->ledger);
		usleep(1);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	cr_assert_eq(misses, 0);
}

static void wait_by_epoll(void)
{
	struct epoll_event event = {.events = EPOLLIN};
	int epfd = epoll_create1(0);

	cr_assert_eq(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event), 0);
	watch_control(epfd, EPOLL_CTL_ADD, fd, listener, &event);
	struct watch_call call = {
		.wait = stand_in_wait, .epfd = epfd, .events = &event, .max_events = 1};
	/* It comes around to wait; the wait itself is not what this is about. */
	watch_wait(fd_get(epfd).value, &call);
}

/* Else it would wait for the next, and let its other connections wait. */
Test(accept, who_was_told_of_it_keeps_it_where_the_socket_blocks)
{
	set_blocking();
	clients(1);
	wait_by_epoll();
	for_other = 1;
	cr_assert_geq(accept_one(NULL, 0), 0);
	cr_assert_eq(mailbox_length(group, OTHER), 0);
}

static int poll_plain(struct pollfd *fds, nfds_t count, int timeout_ms, const uint64_t *mask)
{
	(void)mask;
	return poll(fds, count, timeout_ms);
}

static void keeps_after_poll(void)
{
	struct pollfd entry = {.fd = fd, .events = POLLIN};

	set_blocking();
	clients(1);
	int ready_count = stand_in_poll(&entry, 1, 1000, NULL, poll_plain);
	cr_assert(ready_count == 1 || ready_count == STAND_IN_NOT_NEEDED, "%d, errno %d",
		  ready_count, errno);
	for_other = 1;
	cr_assert_geq(accept_one(NULL, 0), 0);
	cr_assert_eq(mailbox_length(group, OTHER), 0);
}

Test(accept, after_poll_too)
{
	keeps_after_poll();
}

Test(accept, after_poll_of_a_pinned_thread_too)
{
	pin(0);
	keeps_after_poll();
}

/* Its members were taken out with the listener before. */
Test(accept, after_poll_for_one_that_came_back_too)
{
	struct pollfd entry = {.fd = fd, .events = POLLIN};

	pin(0);
	for (int turn = 0; turn < 2; turn++) {
		cr_assert_eq(stand_in_poll(&entry, 1, 0, NULL, poll_plain), 0);
		const struct slot_set *home = watch_home_of_thread(listener);
		cr_assert(home && slot_in(home, 0), "turn %d", turn);
		watch_forget_listener(listener);
	}
}

static _Atomic bool is_over;

static void *keep_connecting(void *unused)
{
	struct sockaddr_in address;

	while (!is_over) {
		close(client(&address));
		usleep(50000);
	}
	return unused;
}

/* The time that accept() may take is not that between two connections for others. */
Test(accept, the_time_is_one_for_all_that_is_handed_over)
{
	struct timeval patience = {.tv_usec = 300000};
	struct timespec before, after;
	pthread_t thread;

	pin(0);
	set_blocking();
	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	listener_option_set(listener, fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	for_other = 100; /* five seconds of them */
	cr_assert_eq(pthread_create(&thread, NULL, keep_connecting, NULL), 0);
	clock_gettime(CLOCK_MONOTONIC, &before);
	int accepted = accept_one(NULL, 0), error = errno;
	clock_gettime(CLOCK_MONOTONIC, &after);
	is_over = true;
	pthread_join(thread, NULL);
	cr_assert_eq(accepted, -1);
	cr_assert_eq(error, EAGAIN);
	long ms =
		(after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
	cr_assert_geq(ms, 300);
	cr_assert_lt(ms, 2500);
	cr_assert_gt(mailbox_length(group, OTHER), 0);
}

/* Its number may be another thread's by now. */
Test(accept, who_was_killed_inside_keeps_nobody_out)
{
	pin(0);
	set_blocking();
	clients(2);
	group->ledger->accepting = (uint32_t)getppid() | 5u << 22;
	cr_assert_geq(accept_one(NULL, 0), 0);
	cr_assert_eq(group->ledger->accepting, 0);
	group->ledger->accepting = (uint32_t)gettid() | 5u << 22; /* jumped out of it */
	cr_assert_geq(accept_one(NULL, 0), 0);
	cr_assert_eq(group->ledger->accepting, 0);
}

Test(accept, a_time_beyond_all_numbers)
{
	struct timeval patience = {.tv_sec = 1000000000};

	listener_option_set(listener, fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	cr_assert_eq(listener_at(listener)->timeout_ms, -1, "nothing was set");
	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	listener_option_set(listener, fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	cr_assert_gt(listener_at(listener)->timeout_ms, 1000000000);
}
