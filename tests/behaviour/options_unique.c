/* What a listener was given and no copy of it can have (keys, filters that cannot be read back)
 * holds for every connection, whichever way it comes. */
#include "tests/behaviour/behaviour.h"
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <netinet/tcp.h>
#include <sys/syscall.h>

/* Of all addresses, on loopback and beyond. */
static bool set_key(int fd)
{
	struct tcp_md5sig key = {.tcpm_flags = TCP_MD5SIG_FLAG_PREFIX, .tcpm_keylen = 3};
	struct sockaddr_in any = {.sin_family = AF_INET};

	memcpy(&key.tcpm_addr, &any, sizeof(any));
	memcpy(key.tcpm_key, "key", 3);
	return !setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG_EXT, &key, sizeof(key));
}

static bool set_filter(int fd)
{
	struct bpf_insn drop[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K},
				  {.code = BPF_JMP | BPF_EXIT}};
	union bpf_attr load = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
			       .insn_cnt = 2,
			       .insns = (uintptr_t)drop,
			       .license = (uintptr_t) "GPL"};
	int program = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load));
	bool is_set = !set_int(fd, SOL_SOCKET, SO_ATTACH_BPF, program);

	close(program);
	return is_set;
}

/* Nobody gets in, as none of the clients signs and the filter drops all. */
static void keeps_out(int listener)
{
	for (enum way way = LOOPBACK; way < WAYS; way++) {
		pid_t pid = client_later(way, port_of(listener), 0);
		CHECK(!is_readable(listener, 300));
		CHECK_FAILS(accept(listener, NULL, NULL), EAGAIN);
		end_child(pid);
	}
}

static void lets_in(int listener)
{
	for (enum way way = LOOPBACK; way < WAYS; way++) {
		int one = connected(way, port_of(listener));
		CHECK(is_readable(listener, 2000));
		int fd = accept(listener, NULL, NULL);
		CHECK(fd >= 0 && is_pair(one, fd));
		close(fd);
		gone(one);
	}
}

static void holds(bool (*set)(int fd), const char *what)
{
	int before = tcp_bound(SOCK_NONBLOCK), copy = tcp_bound(SOCK_NONBLOCK),
	    after = tcp_bound(SOCK_NONBLOCK);

	if (!set(before)) {
		fprintf(stderr, "%s cannot be set here: not tried\n", what);
		close(before);
		close(copy);
		close(after);
		return;
	}
	NEED(!listen(before, 8));
	keeps_out(before);
	/* Under another number than the one that listens. */
	int number = dup(copy);
	CHECK(set(number));
	close(number);
	NEED(!listen(copy, 8));
	keeps_out(copy);
	NEED(!listen(after, 8));
	lets_in(after);
	CHECK(set(after));
	keeps_out(after);
	if (check_failures())
		fprintf(stderr, "of %s\n", what);
	close(before);
	close(copy);
	close(after);
}

/* Two sockets of an address of the application's own: one of them has a key. */
static void of_one_in_a_group(void)
{
	int one = tcp_bound(SOCK_NONBLOCK), other = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port_of(one))};

	close(one);
	one = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	CHECK(!set_int(one, SOL_SOCKET, SO_REUSEPORT, 1));
	CHECK(!set_int(other, SOL_SOCKET, SO_REUSEPORT, 1));
	NEED(!bind(one, (void *)&any, sizeof(any)) && !bind(other, (void *)&any, sizeof(any)));
	if (!set_key(one) || !set_key(other))
		return;
	NEED(!listen(one, 8));
	NEED(!listen(other, 8));
	keeps_out(one);
	close(one);
	close(other);
}

void behaviour(void)
{
	holds(set_key, "a key");
	holds(set_filter, "an eBPF filter");
	of_one_in_a_group();
}
