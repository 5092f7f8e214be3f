/* Starts a program to which the kernel refuses some ways to steer listeners, as hardened services
 * and old kernels do:
 *
 *	refuse [cbpf] [incoming-cpu] [reuseport] -- COMMAND ARG...
 *
 * By seccomp: setsockopt() of the named options of SOL_SOCKET fails with EPERM, for the program and
 * all its children. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
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

#define ARGUMENT(n) offsetof(struct seccomp_data, args[n]) /* its low half: little endian */

static const struct {
	const char *word;
	int option;
} refusals[] = {
	{"cbpf", SO_ATTACH_REUSEPORT_CBPF},
	{"incoming-cpu", SO_INCOMING_CPU},
	{"reuseport", SO_REUSEPORT},
};

static struct sock_filter filter[64];
static unsigned short length;

static void add(uint16_t code, uint32_t k, uint8_t yes, uint8_t no)
{
	filter[length++] = (struct sock_filter){.code = code, .k = k, .jt = yes, .jf = no};
}

static void allow_unless(uint32_t offset, uint32_t value)
{
	add(BPF_LD | BPF_W | BPF_ABS, offset, 0, 0);
	add(BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0);
	add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
}

static void refuse(const char *word)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		if (strcmp(word, refusals[i].word))
			continue;
		add(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)refusals[i].option, 0, 1);
		add(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM, 0, 0);
		return;
	}
	fprintf(stderr, "refuse: what is %s?\n", word);
	exit(2);
}

int main(int argc, char **argv)
{
	int i = 1;

	allow_unless(offsetof(struct seccomp_data, arch), ARCH);
	allow_unless(offsetof(struct seccomp_data, nr), SYS_setsockopt);
	allow_unless(ARGUMENT(1), SOL_SOCKET);
	add(BPF_LD | BPF_W | BPF_ABS, ARGUMENT(2), 0, 0);
	for (; i < argc && strcmp(argv[i], "--"); i++)
		refuse(argv[i]);
	add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
	if (i + 1 >= argc || i > 8) {
		fprintf(stderr,
			"usage: refuse [cbpf] [incoming-cpu] [reuseport] -- COMMAND ARG...\n");
		return 2;
	}
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
