/* The trial of SO_INCOMING_CPU: what it says on this kernel, and where the option is refused,
 * ignored as by Linux 4.6 to 6.1, or loopback is down. */
#include "shim/kernel/incoming_cpu.h"
#include "shim/kernel/socket.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static void loopback(bool up)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = up ? IFF_UP : 0};

	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET))
		cr_skip_test("no network namespace can be had here");
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	cr_assert_eq(ioctl(fd, SIOCSIFFLAGS, &request), 0);
	close(fd);
}

/* The call returns -error from now on and does nothing, where its third argument is that. */
static void answer_call(uint32_t call, uint32_t third, uint32_t error)
{
	struct sock_filter filter[] = {
		{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr)},
		{BPF_JMP | BPF_JEQ | BPF_K, 0, 3, call},
		{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, args[2])},
		{BPF_JMP | BPF_JEQ | BPF_K, 0, 1, third},
		{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | error},
		{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
	};
	struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};

	cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	cr_assert_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

static void answer(uint32_t error)
{
	answer_call(SYS_setsockopt, SO_INCOMING_CPU, error);
}

static int count_descriptors(void)
{
	int count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* By the release this once, to have something to hold the trial against: kernels from 6.2 on. */
static bool is_recent(void)
{
	struct utsname system;
	int major = 0, minor = 0;

	uname(&system);
	return sscanf(system.release, "%d.%d", &major, &minor) == 2 &&
	       (major > 6 || (major == 6 && minor >= 2));
}

Test(incoming_cpu, on_this_kernel)
{
	loopback(true);
	if (!is_recent())
		cr_skip_test("before 6.2 either answer may be right");
	int before = count_descriptors();
	errno = 77;
	for (int i = 0; i < 20; i++)
		cr_assert(incoming_cpu_is_honoured());
	cr_expect_eq(errno, 77);
	cr_expect_eq(count_descriptors(), before);
}

Test(incoming_cpu, ignored)
{
	int believed = 0;

	loopback(true);
	answer(0);
	/* By chance it may be taken in once in 65,536. */
	for (int i = 0; i < 4; i++)
		believed += incoming_cpu_is_honoured();
	cr_expect_leq(believed, 1);
}

Test(incoming_cpu, refused)
{
	loopback(true);
	answer(EPERM);
	int before = count_descriptors();
	cr_expect_not(incoming_cpu_is_honoured());
	cr_expect_eq(incoming_cpu_prefer(socket(AF_INET, SOCK_STREAM, 0), 0), -EPERM);
	cr_expect_eq(count_descriptors(), before + 1);
}

Test(incoming_cpu, nothing_arrives)
{
	loopback(false);
	int before = count_descriptors();
	cr_expect_not(incoming_cpu_is_honoured());
	cr_expect_eq(count_descriptors(), before);
}

/* As where a firewall drops the packets: listen() must not hang for it. */
Test(incoming_cpu, nothing_is_delivered)
{
	struct timespec start, end;

	loopback(true);
	answer_call(SYS_connect, sizeof(struct sockaddr_in), EINPROGRESS);
	clock_gettime(CLOCK_MONOTONIC, &start);
	cr_expect_not(incoming_cpu_is_honoured());
	clock_gettime(CLOCK_MONOTONIC, &end);
	cr_expect_lt(end.tv_sec - start.tv_sec, 3);
}
