/* The door: who asks rightly gets the whole set in order, who does not gets nothing, and neither
 * side is harmed, held up or left with descriptors by whatever the other sends. */
#include "shim/group/door.h"
#include "shim/kernel/socket_clone.h"
#include "shim/process/own_fd.h"
#include "shim/process/self.h"
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NOBODY 65534
#define MAGIC  0x52535364u /* what both sides begin their messages with */

static struct socket_place place;
static struct group *group;
static int listener;

/* The scratch both sides of a fork see. */
static struct {
	uint64_t cookie[SLOTS_MAX];
	volatile int done;
} * shared;

static int bind_socket(in_port_t port, bool listening)
{
	struct sockaddr_in in = {
		.sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	cr_assert_eq(bind(fd, (void *)&in, sizeof(in)), 0);
	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
	if (listening)
		cr_assert_eq(listen(fd, 16), 0);
	return fd;
}

static void start(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	struct rlimit limit = {.rlim_cur = 4096, .rlim_max = 4096};

	if (unshare(CLONE_NEWNET))
		cr_skip_test("other users and namespaces need root");
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	cr_assert_eq(ioctl(fd, SIOCSIFFLAGS, &request), 0);
	close(fd);
	setrlimit(RLIMIT_NOFILE, &limit);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	cr_assert(self_start());
	listener = bind_socket(0, false);
	socket_place(listener, &place);
}

TestSuite(door, .init = start, .timeout = 60);

/* A group as group_build() leaves it, without the NICs that takes. */
static void make_group(unsigned slots)
{
	static uint16_t cpus[SLOTS_MAX];
	static int members[SLOTS_MAX];
	struct socket_difference difference = {0};
	struct ledger *ledger;

	for (unsigned s = 0; s < slots; s++) {
		cpus[s] = (uint16_t)s;
		members[s] = own_fd(socket_clone(listener, &difference));
		cr_assert_geq(members[s], 0);
		cr_assert_eq(listen(members[s], 4), 0);
		shared->cookie[s] = socket_cookie(members[s]);
	}
	int ledger_fd = own_fd(ledger_create(&ledger, getuid(), slots, cpus));
	int door = door_open(&place, (int)getuid());
	cr_assert_geq(door, 0);
	group = group_take(ledger_fd, door, slots, members, &place);
	cr_assert_not_null(group);
	listen(listener, 16);
	door_start(group->door);
}

static int count_descriptors(void)
{
	int count = 0;

	for (int fd = 0; fd < 4096; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Answers whoever comes until the child has ended; returns the child's status. */
static int serve(pid_t child)
{
	struct pollfd wait = {.fd = group->door, .events = POLLIN};
	int status;

	while (waitpid(child, &status, WNOHANG) == 0)
		if (poll(&wait, 1, 5) == 1)
			door_answer(group);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
}

/* In a child of another process's kind: it has the listener only. */
static int ask_and_compare(unsigned slots)
{
	int before = count_descriptors(), error = 0;
	struct group *got = door_ask(listener, DOOR_WAIT_MS, &error);

	if (!got && error == -ENOENT)
		return 2;
	if (!got)
		return 3;
	if (got == group || got->slot_count != slots)
		return 4;
	for (unsigned s = 0; s < slots; s++)
		if (socket_cookie(got->member[s]) != shared->cookie[s] ||
		    !(fcntl(got->member[s], F_GETFD) & FD_CLOEXEC))
			return 5;
	if (got->ledger->slot_cpu[slots - 1] != slots - 1)
		return 6;
	group_drop(got);
	return count_descriptors() == before ? 0 : 7;
}

static void ask_in_child(unsigned slots, int wanted)
{
	pid_t child = fork();

	if (!child)
		_exit(ask_and_compare(slots));
	cr_expect_eq(serve(child), wanted);
}

static void expect_open(unsigned slots)
{
	ask_in_child(slots, 0);
}

Test(door, the_whole_set)
{
	make_group(3);
	expect_open(3);
	expect_open(3);
}

/* More than the kernel passes in one message. */
Test(door, the_largest_set)
{
	make_group(SLOTS_MAX);
	expect_open(SLOTS_MAX);
}

Test(door, nobody_has_it_open)
{
	long start_ms = now_ms();
	int error = 0;

	cr_expect_null(door_ask(listener, DOOR_WAIT_MS, &error));
	cr_expect_eq(error, -ENOENT);
	cr_expect_lt(now_ms() - start_ms, 100, "and nothing is waited for");
	cr_expect_null(door_ask(-1, DOOR_WAIT_MS, &error));
}

Test(door, one_door_an_address_and_user)
{
	struct socket_place other = place;
	struct sockaddr_in *in = (struct sockaddr_in *)&other.address.storage;
	int door = door_open(&place, 0);

	cr_assert_geq(door, 0);
	cr_expect_eq(door_open(&place, 0), -EADDRINUSE);
	cr_expect_geq(door_open(&place, 1), 0);
	in->sin_port = (in_port_t)~in->sin_port;
	cr_expect_geq(door_open(&other, 0), 0);
	own_fd_close(door);
	cr_expect_geq(door_open(&place, 0), 0, "it closes with who opened it");
}

/* --- who asks ------------------------------------------------------------------------------------
 */

Test(door, another_user_gets_nothing)
{
	make_group(2);
	int before = count_descriptors();
	pid_t child = fork();
	if (!child)
		_exit(setuid(NOBODY) ? 9 : ask_and_compare(2));
	cr_expect_eq(serve(child), 3, "it is there, but not for that user");
	cr_expect_eq(count_descriptors(), before);
	expect_open(2);
}

static int connect_raw(void)
{
	struct sockaddr_un name;
	socklen_t length = sizeof(name);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	getsockname(group->door, (void *)&name, &length);
	return connect(fd, (void *)&name, length) ? -1 : fd;
}

static void send_raw(int to, const void *bytes, size_t length, const int *fds, unsigned count)
{
	char control[CMSG_SPACE(253 * sizeof(int))] __attribute__((aligned(8))) = {0};
	struct iovec data = {.iov_base = (void *)bytes, .iov_len = length};
	struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};

	if (count) {
		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
		rights->cmsg_level = SOL_SOCKET;
		rights->cmsg_type = SCM_RIGHTS;
		rights->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(rights), fds, count * sizeof(int));
	}
	sendmsg(to, &message, MSG_NOSIGNAL);
}

/* What a peer gets that sends this: descriptors, or the end. Returns the status of the child. */
static int try_peer(const void *bytes, size_t length, const int *fds, unsigned count)
{
	pid_t child = fork();

	if (!child) {
		char answer[64], control[CMSG_SPACE(253 * sizeof(int))];
		struct iovec data = {.iov_base = answer, .iov_len = sizeof(answer)};
		struct msghdr message = {.msg_iov = &data,
					 .msg_iovlen = 1,
					 .msg_control = control,
					 .msg_controllen = sizeof(control)};
		int peer = connect_raw();
		if (peer < 0)
			_exit(9);
		if (length)
			send_raw(peer, bytes, length, fds, count);
		_exit(recvmsg(peer, &message, 0) > 0 ? 1 : 0);
	}
	return serve(child);
}

Test(door, hostile_questions)
{
	const uint32_t right[] = {MAGIC, LEDGER_ABI, 0}, magic[] = {MAGIC + 1, LEDGER_ABI, 0},
		       abi[] = {MAGIC, LEDGER_ABI + 1, 0}, longer[] = {MAGIC, LEDGER_ABI, 0, 0};
	int fds[253];

	make_group(2);
	int before = count_descriptors();
	int elsewhere = bind_socket(0, true), udp = socket(AF_INET, SOCK_DGRAM, 0),
	    null = open("/dev/null", O_RDONLY), unbound = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in in;
	memcpy(&in, &place.address.storage, sizeof(in));
	cr_assert_eq(bind(udp, (void *)&in, sizeof(in)), 0);

	cr_expect_eq(try_peer(right, sizeof(right), &listener, 1), 1, "as it should be asked");
	cr_expect_eq(try_peer(right, sizeof(right), &elsewhere, 1), 0, "another address");
	cr_expect_eq(try_peer(right, sizeof(right), &unbound, 1), 0, "no address");
	cr_expect_eq(try_peer(right, sizeof(right), &udp, 1), 0, "another protocol");
	cr_expect_eq(try_peer(right, sizeof(right), &null, 1), 0, "no socket");
	cr_expect_eq(try_peer(right, sizeof(right), NULL, 0), 0, "nothing shown");
	cr_expect_eq(try_peer(magic, sizeof(magic), &listener, 1), 0, "another language");
	cr_expect_eq(try_peer(abi, sizeof(abi), &listener, 1), 0, "another version");
	cr_expect_eq(try_peer(right, 5, &listener, 1), 0, "too short");
	cr_expect_eq(try_peer(longer, sizeof(longer), &elsewhere, 1), 0, "too long");
	for (int i = 0; i < 253; i++)
		fds[i] = i ? null : elsewhere;
	cr_expect_eq(try_peer(right, sizeof(right), fds, 253), 0, "as many as a message holds");
	long start_ms = now_ms();
	cr_expect_eq(try_peer(NULL, 0, NULL, 0), 0, "silence");
	cr_expect_lt(now_ms() - start_ms, 600, "is not waited for long");
	cr_expect_eq(count_descriptors(), before + 4, "nothing that was sent is kept");
	expect_open(2);
}

/* What a server hands to a child, such as a CGI program, has the listener's address, too. */
Test(door, a_connection_is_no_proof)
{
	const uint32_t right[] = {MAGIC, LEDGER_ABI, 0};
	struct pollfd wait;
	struct sockaddr_in in;
	int accepted = -1, client = socket(AF_INET, SOCK_STREAM, 0);

	make_group(2);
	memcpy(&in, &place.address.storage, sizeof(in));
	cr_assert_eq(connect(client, (void *)&in, sizeof(in)), 0);
	for (int i = -1; i < 2 && accepted < 0; i++) {
		wait = (struct pollfd){.fd = i < 0 ? listener : group->member[i], .events = POLLIN};
		if (poll(&wait, 1, i < 0 ? 0 : 100) == 1)
			accepted = accept(wait.fd, NULL, NULL);
	}
	cr_assert_geq(accepted, 0);
	cr_expect_eq(try_peer(right, sizeof(right), &accepted, 1), 0, "an accepted connection");
	/* A socket that is about to listen there is. */
	int second = socket(AF_INET, SOCK_STREAM, 0), on = 1;
	cr_assert_eq(setsockopt(second, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
	cr_assert_eq(bind(second, (void *)&in, sizeof(in)), 0);
	cr_expect_eq(try_peer(right, sizeof(right), &second, 1), 1, "bound to the address");
}

/* A socket on the same address in another place is not the same listener. */
Test(door, another_place_gets_nothing)
{
	const uint32_t right[] = {MAGIC, LEDGER_ABI, 0};
	struct sockaddr_in in;
	int on = 1, net = open("/proc/self/ns/net", O_RDONLY);

	make_group(2);
	memcpy(&in, &place.address.storage, sizeof(in));
	int by_device = socket(AF_INET, SOCK_STREAM, 0);
	cr_assert_eq(setsockopt(by_device, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
	cr_assert_eq(setsockopt(by_device, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3), 0);
	cr_assert_eq(bind(by_device, (void *)&in, sizeof(in)), 0);
	cr_assert_eq(unshare(CLONE_NEWNET), 0);
	int elsewhere = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(elsewhere, IPPROTO_IP, IP_FREEBIND, &on, sizeof(on));
	cr_assert_eq(bind(elsewhere, (void *)&in, sizeof(in)), 0);
	cr_assert_eq(setns(net, CLONE_NEWNET), 0);

	cr_expect_eq(try_peer(right, sizeof(right), &by_device, 1), 0, "bound to a device");
	cr_expect_eq(try_peer(right, sizeof(right), &elsewhere, 1), 0, "in another name space");
	cr_expect(socket_is_elsewhere(elsewhere));
	cr_expect_not(socket_is_elsewhere(listener));
	struct socket_place with_device;
	socket_place(by_device, &with_device);
	cr_expect_geq(door_open(&with_device, 0), 0, "which has a door of its own");
	expect_open(2);
}

Test(door, nobody_at_the_door)
{
	make_group(2);
	long start_ms = now_ms();
	door_answer(group);
	cr_expect_lt(now_ms() - start_ms, 100);
}

/* --- who answers
 * ---------------------------------------------------------------------------------- */

/* A door that is not ours: sends what it likes to whoever asks. Waits until it is open. */
static pid_t false_door(uid_t user, const void *bytes, size_t length, const int *fds,
			unsigned count)
{
	int ready[2];
	char byte;

	cr_assert_eq(pipe(ready), 0);
	pid_t child = fork();
	if (!child) {
		if (setuid(user))
			_exit(9);
		int door = door_open(&place, 0);
		door_start(door);
		fcntl(door, F_SETFL, 0);
		close(ready[1]);
		int peer = accept(door, NULL, NULL);
		if (length)
			send_raw(peer, bytes, length, fds, count);
		char question[64];
		shared->done = (int)recv(peer, question, sizeof(question), 0);
		pause();
	}
	close(ready[1]);
	cr_assert_eq(read(ready[0], &byte, 1), 0);
	close(ready[0]);
	return child;
}

static void ask_false_door(const char *what, uid_t user, const void *bytes, size_t length,
			   const int *fds, unsigned count, int wanted)
{
	pid_t child = false_door(user, bytes, length, fds, count);
	int before = count_descriptors();
	long start_ms = now_ms();
	int error = 0;

	cr_expect_null(door_ask(listener, DOOR_WAIT_MS, &error), "%s", what);
	cr_expect_eq(error, wanted, "%s: %d", what, error);
	cr_expect_lt(now_ms() - start_ms, 900, "%s: held up", what);
	cr_expect_eq(count_descriptors(), before, "%s: left with descriptors", what);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

Test(door, hostile_answers)
{
	const uint32_t many[] = {MAGIC, LEDGER_ABI, 1000000}, two[] = {MAGIC, LEDGER_ABI, 2},
		       none[] = {MAGIC, LEDGER_ABI, 0}, abi[] = {MAGIC, LEDGER_ABI + 1, 2};
	const uint16_t cpus[3] = {0, 1, 2};
	struct ledger *ledger;
	int ledger_fd = ledger_create(&ledger, 0, 3, cpus), fds[253];

	listen(listener, 4);
	for (int i = 0; i < 253; i++)
		fds[i] = listener;
	ask_false_door("silence", 0, NULL, 0, NULL, 0, -ETIMEDOUT);
	ask_false_door("more members than there can be", 0, many, sizeof(many), fds, 4, -EPROTO);
	ask_false_door("fewer than announced", 0, two, sizeof(two), fds, 3, -ETIMEDOUT);
	ask_false_door("more than announced", 0, two, sizeof(two), fds, 5, -EPROTO);
	ask_false_door("none announced", 0, none, sizeof(none), fds, 2, -EPROTO);
	ask_false_door("none at all", 0, two, sizeof(two), NULL, 0, -EPROTO);
	ask_false_door("another version", 0, abi, sizeof(abi), fds, 4, -EPROTO);
	ask_false_door("too short", 0, two, 7, fds, 4, -EPROTO);
	ask_false_door("no ledger", 0, two, sizeof(two), fds, 4, -EPROTO);
	fds[0] = ledger_fd;
	ask_false_door("a ledger of other members", 0, two, sizeof(two), fds, 4, -EPROTO);
	ask_false_door("far too many", 0, two, sizeof(two), fds, 253, -EPROTO);
}

/* The abstract name space is everybody's: the listener is not shown to strangers. */
Test(door, another_users_door)
{
	const uint32_t two[] = {MAGIC, LEDGER_ABI, 2};

	ask_false_door("another user's", NOBODY, two, sizeof(two), NULL, 0, -EACCES);
	cr_expect_leq(shared->done, 0, "the listener was shown to a stranger");
}
