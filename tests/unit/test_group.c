/* A group is built whole or not at all: whichever step the kernel refuses, nothing is left behind,
 * and the application's socket is as it was. */
#include "shim/group/accept.h"
#include "shim/group/door.h"
#include "shim/group/group.h"
#include "shim/group/listener.h"
#include "shim/group/ready.h"
#include "shim/group/registration.h"
#include "shim/kernel/procfs.h"
#include "shim/process/fd_table.h"
#include "shim/process/own_fd.h"
#include "shim/process/runtime.h"
#include "shim/process/self.h"
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MEMBERS 4

static struct sockaddr_in in;
static int listener;

/* Loopback of its own, which the policy says spreads over the first CPUs. */
static void start(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};

	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET))
		cr_skip_test("no network namespace can be had here");
	int fd = socket(AF_INET, SOCK_DGRAM, 0), on = 1;
	cr_assert_eq(ioctl(fd, SIOCSIFFLAGS, &request), 0);
	close(fd);
	setenv("RSSSHIM_NIC_LO_HASH", "toeplitz", 1);
	setenv("RSSSHIM_NIC_LO_HASH_KEY",
	       "6d:5a:56:da:25:5b:0e:c2:41:67:25:3d:43:a3:8f:b0:d0:ca:2b:cb:"
	       "ae:7b:30:b4:77:cb:2d:a3:80:30:f2:0c:6a:42:b7:3b:be:ac:01:fa",
	       1);
	setenv("RSSSHIM_NIC_LO_INDIRECTION", "equal 4", 1);
	setenv("RSSSHIM_NIC_LO_QUEUE_CPUS", "0 1 2 3", 1);
	setenv("RSSSHIM_LISTEN_BUCKETS", "0-3", 1);
	setenv("RSSSHIM_SHIM_LOG", "error", 1);
	runtime_start();
	runtime_discover();

	in = (struct sockaddr_in){.sin_family = AF_INET,
				  .sin_port = htons(8080),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	listener = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	cr_assert_eq(bind(listener, (void *)&in, sizeof(in)), 0);
}

TestSuite(group, .init = start, .timeout = 30);

static struct group *build(bool listening, const char **why, int *error)
{
	struct self_guard guard;

	self_lock(&guard);
	struct group *group = group_build(listener, 16, listening, why, error);
	self_unlock(&guard);
	return group;
}

static void drop(struct group *group)
{
	struct self_guard guard;

	self_lock(&guard);
	group_drop(group);
	self_unlock(&guard);
}

static int count_descriptors(void)
{
	int count = 0;

	for (int fd = 0; fd < 4096; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void count_ours(int fd, uint32_t value, void *argument)
{
	(void)fd;
	(void)value;
	++*(int *)argument;
}

static int known_as_ours(void)
{
	int count = 0;

	fd_for_each(FD_OURS, count_ours, &count);
	return count;
}

/* Whether a socket of somebody else could have the address now. */
static int bind_another(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int ret = bind(fd, (void *)&in, sizeof(in)) ? -errno : 0;
	close(fd);
	return ret;
}

static bool door_is_free(void)
{
	struct socket_place place;

	socket_place(listener, &place);
	int door = door_open(&place, (int)geteuid());
	own_fd_close(door);
	return door >= 0;
}

/* Connects from this host; returns whether the connection waits at a member. */
static bool arrives_at_member(const struct group *group)
{
	int client = socket(AF_INET, SOCK_STREAM, 0);

	cr_assert_eq(connect(client, (void *)&in, sizeof(in)), 0);
	struct slot_set waiting = group_waiting(group);
	close(client);
	return !slots_empty(&waiting);
}

Test(group, built)
{
	int before = count_descriptors(), error = 0;
	const char *why;
	struct group *group = build(false, &why, &error);

	cr_assert_not_null(group, "%s: %d", why, error);
	cr_expect_eq(group->slot_count, MEMBERS);
	cr_expect_eq(count_descriptors() - before, MEMBERS + 2, "members, ledger, door");
	cr_expect_eq(bind_another(), -EADDRINUSE, "a second instance is told so");
	cr_assert_eq(listen(listener, 16), 0);
	cr_expect_eq(bind_another(), -EADDRINUSE);
	for (unsigned s = 0; s < MEMBERS; s++)
		cr_expect_eq(group->ledger->slot_cpu[s], s);
	for (int i = 0; i < 10; i++)
		cr_expect_not(arrives_at_member(group), "nobody watches: all to the application");
	drop(group);
	cr_expect_eq(count_descriptors(), before);
	cr_expect(door_is_free());
}

/* Members are numbers 0 to 3, the application's socket the one behind; or before, where it listened
 * already. Shown by the kernel: a worker claims each slot in turn. */
static void expect_order(struct group *group)
{
	cpu_set_t mask;
	int cpu = sched_getcpu();

	CPU_ZERO(&mask);
	CPU_SET(cpu, &mask);
	cr_assert_eq(sched_setaffinity(0, sizeof(mask), &mask), 0);
	struct ledger_claim claim = ledger_claim(
		group->ledger, (struct ledger_thread){.pid = getpid(), .tid = getpid()});
	for (unsigned slot = 0; slot < MEMBERS; slot++) {
		struct slot_set home = {0};
		slot_add(&home, slot);
		/* Only one is watched, so this CPU's connections come to it, near or not. */
		cr_assert(ledger_report(group->ledger, claim, getpid(), &home, 0));
		cr_assert_eq(group_publish(group), 0);
		int client = socket(AF_INET, SOCK_STREAM, 0);
		cr_assert_eq(connect(client, (void *)&in, sizeof(in)), 0);
		struct slot_set waiting = group_waiting(group);
		cr_expect(slots_equal(&waiting, &home), "slot %u", slot);
		close(accept(group->member[slot], NULL, NULL));
		close(client);
	}
	ledger_release(group->ledger, claim);
	cr_assert_eq(group_publish(group), 0);
	cr_expect_not(arrives_at_member(group));
}

Test(group, order_of_members)
{
	const char *why;
	int error;
	struct group *group = build(false, &why, &error);

	cr_assert_not_null(group, "%s: %d", why, error);
	listen(listener, 16);
	expect_order(group);
}

Test(group, order_behind_one_that_listened)
{
	const char *why;
	int error;

	listen(listener, 16);
	struct group *group = build(true, &why, &error);
	cr_assert_not_null(group, "%s: %d", why, error);
	expect_order(group);
}

Test(group, order_after_listening_anew)
{
	const char *why;
	int error;
	struct group *group = build(false, &why, &error);
	struct self_guard guard;

	cr_assert_not_null(group, "%s: %d", why, error);
	listen(listener, 16);
	self_lock(&guard);
	shutdown(listener, SHUT_RD);
	group_unlisten(group);
	group_listen(group, 16);
	self_unlock(&guard);
	cr_assert_eq(listen(listener, 16), 0, "%s", strerror(errno));
	expect_order(group);
}

/* Without SO_REUSEADDR. */
static void bind_fresh(in_port_t port)
{
	socklen_t length = sizeof(in);

	listener = socket(AF_INET, SOCK_STREAM, 0);
	in.sin_port = port;
	cr_assert_eq(bind(listener, (void *)&in, sizeof(in)), 0);
	getsockname(listener, (void *)&in, &length);
}

/* A sibling that looks at the group while its listening is ended: members to which it attached a
 * program could not listen again. */
Test(group, no_program_while_nobody_listens)
{
	const char *why;
	int error;
	struct self_guard guard;

	bind_fresh(htons(8081));
	struct group *group = build(false, &why, &error);
	cr_assert_not_null(group, "%s: %d", why, error);
	cr_assert_eq(listen(listener, 16), 0);
	self_lock(&guard);
	shutdown(listener, SHUT_RD);
	group_unlisten(group);
	group_publish_if_changed(group);
	group_listen(group, 16);
	self_unlock(&guard);
	cr_expect_not(group->ledger->suspended);
	cr_assert_eq(listen(listener, 16), 0, "%s", strerror(errno));
	expect_order(group);
}

/* All members or none. */
Test(group, listening_anew_is_refused)
{
	const char *why;
	int error;
	struct self_guard guard;

	bind_fresh(htons(8081));
	struct group *group = build(false, &why, &error);
	cr_assert_not_null(group, "%s: %d", why, error);
	cr_assert_eq(listen(listener, 16), 0);
	self_lock(&guard);
	shutdown(listener, SHUT_RD);
	group_unlisten(group);
	own_fd_close(group->member[MEMBERS - 1]);
	group->member[MEMBERS - 1] = -1;
	group_listen(group, 16);
	self_unlock(&guard);
	cr_expect(group->ledger->suspended);
	for (unsigned s = 0; s < MEMBERS - 1; s++)
		cr_expect_not(socket_is_listening(group->member[s]));
}

Test(group, found_by_its_place)
{
	const char *why;
	int error;
	struct group *group = build(false, &why, &error);

	cr_assert_not_null(group, "%s: %d", why, error);
	struct socket_place place = group->place;
	cr_expect_eq(group_find(&place), group);
	place.device = 1;
	cr_expect_null(group_find(&place), "bound to a device");
	place = group->place;
	place.net++;
	cr_expect_null(group_find(&place), "in another name space");
}

static int accept_plain(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	return accept4(fd, address, length, flags);
}

/* What an application may do with its listener while it is steered. */
Test(group, options_and_closed_members)
{
	int on = 0;

	fcntl(listener, F_SETFL, O_NONBLOCK);
	cr_assert_eq(listener_listen(listener, 16, listen), 0);
	int number = listener_known(listener);
	cr_assert_geq(number, 0);
	struct group *group = listener_group(number);
	cr_assert_eq(setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
	listener_option_set(number, listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	cr_expect_eq(socket_get_int(listener, SOL_SOCKET, SO_REUSEPORT, -1), 1,
		     "what the group needs stays");
	cr_assert_eq(setsockopt(listener, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3), 0);
	listener_option_set(number, listener, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3);
	cr_expect_eq(group->place.device, 1, "its place is another");

	/* By a raw call, and nobody has seen it yet. */
	syscall(SYS_close, group->member[0]);
	ready_add((struct ready_member){.group = (uint16_t)group_number(group), .slot = 0});
	errno = 0;
	cr_expect_eq(accept_from(number, listener, NULL, NULL, 0, accept_plain), -1);
	cr_expect_eq(errno, EAGAIN, "%s", strerror(errno));
}

/* One of two sockets that the application has in the group goes. */
Test(group, counted_at_once)
{
	const char *why;
	int error, on = 1;
	struct registration reg = {.present = 1};
	struct group *group = build(false, &why, &error);

	cr_assert_not_null(group, "%s: %d", why, error);
	cr_assert_eq(listen(listener, 16), 0);
	int second = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(second, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	cr_assert_eq(bind(second, (void *)&in, sizeof(in)), 0);
	cr_assert_eq(listen(second, 16), 0);
	group_recount(group);
	cr_expect_eq(group->ledger->common_count, 2);
	registration_look(&reg, group, 10000);
	close(second);
	registration_look(&reg, group, 10001);
	cr_expect_eq(group->ledger->common_count, 2, "not looked for each time");
	registration_recount(group);
	registration_look(&reg, group, 10002);
	cr_expect_eq(group->ledger->common_count, 1);
}

Test(group, built_and_dropped_often)
{
	int before = count_descriptors();

	for (int i = 0; i < 5 * GROUPS_MAX; i++) {
		const char *why;
		int error;
		struct group *group = build(false, &why, &error);
		cr_assert_not_null(group, "%d: %s: %d", i, why, error);
		drop(group);
	}
	cr_expect_eq(count_descriptors(), before);
}

/* --- refusals
 * ------------------------------------------------------------------------------------- */

/* That system call fails with EPERM from now on, where its argument is value (-1: whatever). */
static void refuse(long call, unsigned argument, int value)
{
	const uint32_t at = offsetof(struct seccomp_data, args) + argument * 8;
	struct sock_filter filter[] = {
		{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr)},
		{BPF_JMP | BPF_JEQ | BPF_K, 0, 3, (uint32_t)call},
		{BPF_LD | BPF_W | BPF_ABS, 0, 0, at},
		{BPF_JMP | (value < 0 ? BPF_JGE : BPF_JEQ) | BPF_K, 0, 1,
		 (uint32_t)(value < 0 ? 0 : value)},
		{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM},
		{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
	};
	struct sock_fprog program = {.len = 6, .filter = filter};

	cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	cr_assert_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

/* Builds, which must fail at that step, and looks at what is there afterwards. */
static void expect_nothing_left(bool listening, const char *step, int wanted)
{
	int before = count_descriptors(), ours = known_as_ours(), error = 0;
	int reuseport = socket_get_int(listener, SOL_SOCKET, SO_REUSEPORT, -1);
	const char *why = "";
	struct group *group = build(listening, &why, &error);

	cr_assert_null(group);
	cr_expect_str_eq(why, step);
	cr_expect_eq(error, wanted, "%d", error);
	cr_expect_eq(count_descriptors(), before, "%d descriptors more",
		     count_descriptors() - before);
	cr_expect_eq(known_as_ours(), ours);
	cr_expect_eq(socket_get_int(listener, SOL_SOCKET, SO_REUSEPORT, -1), reuseport);
	cr_expect_eq(bind_another(), -EADDRINUSE, "the address is the application's");
}

Test(group, one_cpu)
{
	cpu_set_t *listed = (cpu_set_t *)&runtime_policy()->listen_buckets.set;

	CPU_ZERO(listed);
	CPU_SET(1, listed);
	expect_nothing_left(false, "there is but one CPU that it could be steered to", -ENODEV);
}

Test(group, no_ledger)
{
	refuse(SYS_memfd_create, 0, -1);
	expect_nothing_left(false, "no interface spreads over several CPUs", -EPERM);
	cr_expect(door_is_free());
}

Test(group, a_ledger_without_size)
{
	refuse(SYS_ftruncate, 0, -1);
	expect_nothing_left(false, "no interface spreads over several CPUs", -EPERM);
}

Test(group, a_ledger_without_seals)
{
	refuse(SYS_fcntl, 1, F_ADD_SEALS);
	expect_nothing_left(false, "no interface spreads over several CPUs", -EPERM);
}

Test(group, no_reuseport)
{
	refuse(SYS_setsockopt, 2, SO_REUSEPORT);
	expect_nothing_left(false, "SO_REUSEPORT", -EPERM);
	cr_expect(door_is_free());
}

Test(group, no_second_bind)
{
	refuse(SYS_bind, 2, sizeof(struct sockaddr_in)); /* the door's name has another length */
	int before = count_descriptors(), error = 0;
	const char *why;
	cr_expect_null(build(false, &why, &error));
	cr_expect_str_eq(why, "a second socket on the address");
	cr_expect_eq(error, -EPERM);
	cr_expect_eq(count_descriptors(), before);
	cr_expect_eq(socket_get_int(listener, SOL_SOCKET, SO_REUSEPORT, -1), 0);
}

/* Whatever was made before it is known would stay with a child that is forked meanwhile. */
Test(group, no_way_to_steer_is_known_before_there_are_members)
{
	const char *why;
	int error = 0;

	refuse(SYS_setsockopt, 2, SO_INCOMING_CPU);
	refuse(SYS_setsockopt, 2, SO_ATTACH_REUSEPORT_CBPF);
	refuse(SYS_bind, 2, sizeof(struct sockaddr_in));
	cr_expect_null(build(false, &why, &error));
	cr_expect_str_eq(why, "SO_ATTACH_REUSEPORT_CBPF");
}

Test(group, no_way_to_steer)
{
	refuse(SYS_setsockopt, 2, SO_INCOMING_CPU);
	refuse(SYS_setsockopt, 2, SO_ATTACH_REUSEPORT_CBPF);
	expect_nothing_left(false, "SO_ATTACH_REUSEPORT_CBPF", -EPERM);
	cr_expect(door_is_free());
}

/* Refused before a member listens, or connections would wait at one and be reset. */
Test(group, no_way_to_steer_one_that_listens)
{
	listen(listener, 16);
	refuse(SYS_setsockopt, 2, SO_INCOMING_CPU);
	refuse(SYS_setsockopt, 2, SO_ATTACH_REUSEPORT_CBPF);
	refuse(SYS_listen, 0, -1);
	expect_nothing_left(true, "SO_ATTACH_REUSEPORT_CBPF", -EPERM);
}

Test(group, the_next_best_way)
{
	const char *why;
	int error;

	refuse(SYS_setsockopt, 2, SO_ATTACH_REUSEPORT_CBPF);
	struct group *group = build(false, &why, &error);
	if (!group)
		cr_skip_test("this kernel's groups ignore SO_INCOMING_CPU");
	cr_expect_eq(group->ledger->rung, RUNG_INCOMING_CPU);
	listen(listener, 16);
	for (unsigned s = 0; s < MEMBERS; s++)
		cr_expect_eq(socket_incoming_cpu(group->member[s]), -1);
	struct ledger_claim claim = ledger_claim(
		group->ledger, (struct ledger_thread){.pid = getpid(), .tid = getpid()});
	struct slot_set home = {0};
	slot_add(&home, 2);
	ledger_report(group->ledger, claim, getpid(), &home, 0);
	group_publish_if_changed(group);
	for (unsigned s = 0; s < MEMBERS; s++)
		cr_expect_eq(socket_incoming_cpu(group->member[s]), s == 2 ? 2 : -1);
	ledger_release(group->ledger, claim);
	group_publish_if_changed(group);
	cr_expect_eq(socket_incoming_cpu(group->member[2]), -1);
}

Test(group, no_listen)
{
	refuse(SYS_listen, 0, -1);
	/* The door's listen() comes last and is no reason to do without a group. */
	expect_nothing_left(false, "listen on a second socket", -EPERM);
	cr_expect(door_is_free());
}

/* Of the numbers that ours may have, only so many are free, from none on. */
Test(group, no_descriptors_left)
{
	struct rlimit limit = {.rlim_cur = 130, .rlim_max = 130};
	int filler = 0, built_at = -1;

	setrlimit(RLIMIT_NOFILE, &limit);
	for (int fd = filler; fd >= 0; fd = fcntl(0, F_DUPFD_CLOEXEC, 65))
		filler = fd;
	for (int room = 0; room < 16 && built_at < 0; room++) {
		int before = count_descriptors(), ours = known_as_ours(), error = 0;
		const char *why = "";
		struct group *group = build(false, &why, &error);
		if (group) {
			built_at = room;
			drop(group);
		}
		cr_expect_eq(count_descriptors(), before, "room %d: %s", room, why);
		cr_expect_eq(known_as_ours(), ours, "room %d: %s", room, why);
		cr_expect_eq(socket_get_int(listener, SOL_SOCKET, SO_REUSEPORT, -1), group ? 1 : 0);
		close(129 - room);
	}
	cr_expect_eq(built_at, MEMBERS + 2, "a door, a ledger and the members: %d", built_at);
}

Test(group, too_many_groups)
{
	struct group *groups[GROUPS_MAX];
	const char *why;
	int error, i;

	for (i = 0; i < GROUPS_MAX; i++) {
		bind_fresh(0);
		groups[i] = build(false, &why, &error);
		cr_assert_not_null(groups[i], "%d: %s: %d", i, why, error);
	}
	bind_fresh(0);
	expect_nothing_left(false, "too many listeners", -ENOSPC);
	drop(groups[5]);
	cr_expect_not_null(build(false, &why, &error));
}

/* A listener that is to be shared, and somebody has its group already: no second one. */
Test(group, another_has_the_door)
{
	struct socket_place place;
	int on = 1;

	setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	socket_place(listener, &place);
	int door = door_open(&place, (int)geteuid());
	int before = count_descriptors(), error = 0;
	const char *why;
	cr_expect_null(build(false, &why, &error));
	cr_expect_eq(error, -EADDRINUSE);
	cr_expect_eq(count_descriptors(), before);
	own_fd_close(door);
}

static struct slot_set home_of_cpus(const struct group *group, const char *list)
{
	cpu_set_t mask;

	cpu_list_parse(list, strlen(list), &mask);
	return group_home(group, &mask);
}

/* Receiving CPUs come and go (queues, interrupts, unplugged CPUs) while the slots stay. */
Test(group, home_is_a_part_of_the_cpus_that_receive)
{
	const char *why = "";
	int error = 0;
	struct group *group = build(false, &why, &error);
	uint32_t ifindex = 1;
	cpu_set_t arrivals;

	cr_assert(group, "%s %d", why, error);
	struct slot_set two = home_of_cpus(group, "0-1"), none = home_of_cpus(group, "0-3");
	cr_expect(slot_in(&two, 0) && slot_in(&two, 1) && !slot_in(&two, 2));
	cr_expect(slots_empty(&none), "free on all of them");

	cpu_list_parse("0-1", 3, &arrivals);
	ledger_set_nics(group->ledger, 1, &ifindex, &arrivals);
	struct slot_set one = home_of_cpus(group, "1"), guest = home_of_cpus(group, "2-3");
	none = home_of_cpus(group, "0-1");
	cr_expect(slots_empty(&none), "free on all that receive");
	cr_expect(slot_in(&one, 1) && !slot_in(&one, 0));
	cr_expect(slot_in(&guest, 2) && slot_in(&guest, 3), "where nothing is received");
	drop(group);
}
