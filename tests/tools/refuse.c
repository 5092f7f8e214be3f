/* Starts a program to which the kernel refuses what it likes to have, as hardened services, old
 * kernels and containers do:
 *
 *	refuse [WORD[=ERROR]]... -- COMMAND ARG...
 *
 * By seccomp, for the program and all its children. A word is a system call, an option of
 * setsockopt(), or a family of sockets, of those below; ERROR is EPERM if none is named. */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

#define ARGUMENT(n)         offsetof(struct seccomp_data, args[n]) /* its low half: little endian */
#define ANY                 (-1)
#define IP_LOCAL_PORT_RANGE 51

/* A system call, and what its first arguments must be. */
static const struct {
	const char *word;
	int call, first, second, third;
} refusals[] = {
	{"cbpf", SYS_setsockopt, ANY, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF},
	{"incoming-cpu", SYS_setsockopt, ANY, SOL_SOCKET, SO_INCOMING_CPU},
	{"reuseport", SYS_setsockopt, ANY, SOL_SOCKET, SO_REUSEPORT},
	{"port-range", SYS_setsockopt, ANY, IPPROTO_IP, IP_LOCAL_PORT_RANGE},
	{"unix", SYS_socket, AF_UNIX, ANY, ANY},
	{"netlink", SYS_socket, AF_NETLINK, ANY, ANY},
	{"netlink-route", SYS_socket, AF_NETLINK, ANY, NETLINK_ROUTE},
	{"netlink-generic", SYS_socket, AF_NETLINK, ANY, NETLINK_GENERIC},
	{"netlink-diag", SYS_socket, AF_NETLINK, ANY, NETLINK_SOCK_DIAG},
	{"datagram", SYS_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, ANY},
	{"socketpair", SYS_socketpair, ANY, ANY, ANY},
	{"memfd", SYS_memfd_create, ANY, ANY, ANY},
	{"ioctl", SYS_ioctl, ANY, ANY, ANY},
	{"ethtool", SYS_ioctl, ANY, SIOCETHTOOL, ANY},
	{"getaffinity", SYS_sched_getaffinity, ANY, ANY, ANY},
	{"prlimit", SYS_prlimit64, ANY, ANY, ANY},
	{"getcpu", SYS_getcpu, ANY, ANY, ANY},
	{"getrandom", SYS_getrandom, ANY, ANY, ANY},
	{"madvise", SYS_madvise, ANY, ANY, ANY},
	{"tgkill", SYS_tgkill, ANY, ANY, ANY},
	{"kcmp", SYS_kcmp, ANY, ANY, ANY},
	{"pidfd", SYS_pidfd_open, ANY, ANY, ANY},
	{"epoll-pwait", SYS_epoll_pwait, ANY, ANY, ANY},
	{"epoll-pwait2", SYS_epoll_pwait2, ANY, ANY, ANY},
	{"close-range", SYS_close_range, ANY, ANY, ANY},
	{"dup-high", SYS_fcntl, ANY, F_DUPFD_CLOEXEC, ANY},
};

static const struct {
	const char *name;
	int error;
} errors[] = {
	{"EPERM", EPERM},
	{"ENOSYS", ENOSYS},
	{"EACCES", EACCES},
	{"EINVAL", EINVAL},
	{"ENOMEM", ENOMEM},
	{"EMFILE", EMFILE},
	{"EAFNOSUPPORT", EAFNOSUPPORT},
};

static struct sock_filter filter[BPF_MAXINSNS];
static unsigned short length;

static void add(uint16_t code, uint32_t k, uint8_t yes, uint8_t no)
{
	filter[length++] = (struct sock_filter){.code = code, .k = k, .jt = yes, .jf = no};
}

/* The next `skip` instructions only where the value is that. */
static void unless(uint32_t offset, uint32_t value, uint8_t skip)
{
	add(BPF_LD | BPF_W | BPF_ABS, offset, 0, 0);
	add(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip);
}

static int error_of(const char *name)
{
	for (size_t i = 0; name && i < sizeof(errors) / sizeof(errors[0]); i++)
		if (!strcmp(name, errors[i].name))
			return errors[i].error;
	if (!name)
		return EPERM;
	fprintf(stderr, "refuse: what is %s?\n", name);
	exit(2);
}

static void refuse(char *argument)
{
	const char *word = strtok(argument, "=");
	int error = error_of(strtok(NULL, "="));

	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		if (strcmp(word, refusals[i].word))
			continue;
		const int wanted[] = {refusals[i].first, refusals[i].second, refusals[i].third};
		uint8_t left = 1;
		for (int n = 0; n < 3; n++)
			left += wanted[n] == ANY ? 0 : 2;
		unless(offsetof(struct seccomp_data, nr), (uint32_t)refusals[i].call, left);
		for (int n = 0; n < 3; n++) {
			if (wanted[n] == ANY)
				continue;
			left -= 2;
			unless(ARGUMENT(n), (uint32_t)wanted[n], left);
		}
		add(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error, 0, 0);
		return;
	}
	fprintf(stderr, "refuse: what is %s?\n", word);
	exit(2);
}

static void usage(void)
{
	fprintf(stderr, "usage: refuse [WORD[=ERROR]]... -- COMMAND ARG...\nwords:");
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		fprintf(stderr, " %s", refusals[i].word);
	fprintf(stderr, "\nerrors:");
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		fprintf(stderr, " %s", errors[i].name);
	fprintf(stderr, "\n");
	exit(2);
}

int main(int argc, char **argv)
{
	int i = 1;

	unless(offsetof(struct seccomp_data, arch), ARCH, 1);
	add(BPF_JMP | BPF_JA, 1, 0, 0);
	add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
	for (; i < argc && strcmp(argv[i], "--"); i++)
		refuse(argv[i]);
	add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
	if (i + 1 >= argc)
		usage();
	struct sock_fprog program = {.len = length, .filter = filter};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
		perror("refuse: seccomp");
		return 1;
	}
	execvp(argv[i + 1], argv + i + 1);
	perror(argv[i + 1]);
	return 127;
}
