/* The program, run twice: by an interpreter of the few instructions it is made of, for every CPU
 * and interface, and by the kernel, attached to a group on loopback. */
#include "shim/decide/steer_program.h"
#include "shim/kernel/reuseport.h"
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOOPBACK 1 /* its ifindex, in every namespace */

static struct sock_filter program[STEER_PROGRAM_MAX];
static struct steer_plan plan;
static struct steer_gate gate;
static unsigned length;

struct packet {
	uint32_t cpu, ifindex, random;
};

static uint32_t load(const struct packet *packet, uint32_t at)
{
	switch (at - (uint32_t)SKF_AD_OFF) {
	case SKF_AD_CPU:
		return packet->cpu;
	case SKF_AD_IFINDEX:
		return packet->ifindex;
	case SKF_AD_RANDOM:
		return packet->random;
	}
	cr_assert(false, "reads the packet at %u", at);
	return 0;
}

static uint32_t run(const struct packet *packet)
{
	uint32_t a = 0;

	for (unsigned pc = 0; pc < length; pc++) {
		const struct sock_filter *at = &program[pc];
		bool yes = false;
		switch (at->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			a = load(packet, at->k);
			continue;
		case BPF_ALU | BPF_MOD | BPF_K:
			a %= at->k;
			continue;
		case BPF_ALU | BPF_ADD | BPF_K:
			a += at->k;
			continue;
		case BPF_RET | BPF_K:
			return at->k;
		case BPF_RET | BPF_A:
			return a;
		case BPF_JMP | BPF_JA:
			pc += at->k;
			continue;
		case BPF_JMP | BPF_JEQ | BPF_K:
			yes = a == at->k;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			yes = a >= at->k;
			break;
		default:
			cr_assert(false, "instruction %#x", at->code);
		}
		pc += yes ? at->jt : at->jf;
	}
	cr_assert(false, "runs over the end");
	return 0;
}

static void make(void)
{
	memset(program, 0xee, sizeof(program));
	length = steer_program_make(program, &plan, &gate);
	cr_assert_gt(length, 0);
	cr_assert_leq(length, STEER_PROGRAM_MAX);
}

/* Adds a CPU, served by `count` slots from `first` on. */
static void add_cpu(unsigned cpu, unsigned first, unsigned count)
{
	plan.entry[plan.cpu_count++] = (struct steer_entry){.cpu = (uint16_t)cpu,
							    .first = (uint16_t)plan.target_count,
							    .count = (uint16_t)count};
	for (unsigned i = 0; i < count; i++)
		plan.target[plan.target_count++] = (uint16_t)(first + i);
}

static void clear(void)
{
	memset(&plan, 0, sizeof(plan));
	gate = (struct steer_gate){.nic_count = 1, .ifindex = {LOOPBACK}, .common_count = 1};
}

static const struct steer_entry *entry_of(uint32_t cpu)
{
	for (unsigned e = 0; e < plan.cpu_count; e++)
		if (plan.entry[e].cpu == cpu)
			return &plan.entry[e];
	return NULL;
}

/* Whether index is one the packet may go to. */
static bool is_right(const struct packet *packet, uint32_t index)
{
	const struct steer_entry *entry = entry_of(packet->cpu);
	bool known = false;

	for (unsigned i = 0; i < gate.nic_count; i++)
		known |= gate.ifindex[i] == packet->ifindex;
	if (!known || !entry)
		return index - gate.common_base < gate.common_count;
	for (unsigned i = 0; i < entry->count; i++)
		if (index == gate.member_base + plan.target[entry->first + i])
			return true;
	return false;
}

static void check_all(uint32_t cpus, uint32_t interfaces)
{
	for (uint32_t ifindex = 0; ifindex <= interfaces; ifindex++) {
		for (uint32_t cpu = 0; cpu < cpus; cpu++) {
			struct packet packet = {cpu, ifindex, (uint32_t)rand()};
			uint32_t index = run(&packet);
			cr_assert(is_right(&packet, index), "CPU %u, interface %u: index %u", cpu,
				  ifindex, index);
		}
	}
}

TestSuite(steer_program, .init = clear);

Test(steer_program, every_cpu_and_interface)
{
	gate = (struct steer_gate){.nic_count = 3,
				   .ifindex = {2, 5, 9},
				   .member_base = 0,
				   .common_base = 7,
				   .common_count = 1};
	add_cpu(0, 0, 1);
	add_cpu(3, 1, 2);
	add_cpu(4, 3, 1);
	add_cpu(9, 4, 3);
	make();
	check_all(300, 12);
	/* Behind the application's own socket. */
	gate.member_base = 1;
	gate.common_base = 0;
	make();
	check_all(300, 12);
}

Test(steer_program, nothing_to_steer)
{
	gate.common_base = 4;
	make();
	check_all(4, 3);
	cr_expect_eq(run(&(struct packet){0, LOOPBACK, 0}), 4);
	add_cpu(0, 0, 1);
	gate.nic_count = 0;
	make();
	check_all(4, 3);
	cr_expect_eq(run(&(struct packet){0, LOOPBACK, 0}), 4);
}

Test(steer_program, random_choice_is_even)
{
	unsigned hits[16] = {0};

	gate.common_base = 8;
	gate.common_count = 5;
	add_cpu(1, 2, 3);
	make();
	for (uint32_t r = 0; r < 3000; r++)
		hits[run(&(struct packet){1, LOOPBACK, r})]++;
	for (unsigned slot = 2; slot < 5; slot++)
		cr_expect_eq(hits[slot], 1000);
	memset(hits, 0, sizeof(hits));
	for (uint32_t r = 0; r < 5000; r++)
		hits[run(&(struct packet){2, LOOPBACK, r})]++;
	for (unsigned common = 8; common < 13; common++)
		cr_expect_eq(hits[common], 1000);
}

/* --- the kernel's opinion --------------------------------------------------------------------- */

#define MEMBERS 6
#define COMMON  3
#define SOCKETS (MEMBERS + COMMON)

static int group[SOCKETS];
static struct sockaddr_in address;

static void loopback_up(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	cr_assert_eq(ioctl(fd, SIOCSIFFLAGS, &request), 0);
	close(fd);
}

static void enter_namespace(void)
{
	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET))
		cr_skip_test("no network namespace can be had here");
	loopback_up();
}

static void make_group(void)
{
	socklen_t size = sizeof(address);
	int on = 1;

	address = (struct sockaddr_in){.sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	for (int i = 0; i < SOCKETS; i++) {
		group[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		cr_assert_eq(setsockopt(group[i], SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
		cr_assert_eq(bind(group[i], (void *)&address, sizeof(address)), 0);
		cr_assert_eq(getsockname(group[i], (void *)&address, &size), 0);
	}
	for (int i = 0; i < SOCKETS; i++)
		cr_assert_eq(listen(group[i], 16), 0);
}

static void run_on(int cpu)
{
	cpu_set_t mask;

	CPU_ZERO(&mask);
	CPU_SET(cpu, &mask);
	cr_assert_eq(sched_setaffinity(0, sizeof(mask), &mask), 0);
}

/* Connects from the present CPU; returns the index of the socket that got the connection. */
static int arrive(void)
{
	int client = socket(AF_INET, SOCK_STREAM, 0), got = -1;
	struct linger reset = {.l_onoff = 1};
	struct pollfd poll_fds[SOCKETS];

	setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	cr_assert_eq(connect(client, (void *)&address, sizeof(address)), 0);
	for (int i = 0; i < SOCKETS; i++)
		poll_fds[i] = (struct pollfd){.fd = group[i], .events = POLLIN};
	cr_assert_eq(poll(poll_fds, SOCKETS, 1000), 1);
	for (int i = 0; i < SOCKETS; i++)
		if (poll_fds[i].revents)
			got = i;
	close(accept(group[got], NULL, NULL));
	close(client);
	return got;
}

static void compare(int cpu, int connections)
{
	run_on(cpu);
	for (int i = 0; i < connections; i++) {
		struct packet packet = {(uint32_t)cpu, LOOPBACK, 0};
		int got = arrive();
		cr_assert(is_right(&packet, (uint32_t)got), "CPU %d: index %d", cpu, got);
	}
}

Test(steer_program, the_kernel_agrees, .timeout = 30)
{
	cpu_set_t allowed;

	sched_getaffinity(0, sizeof(allowed), &allowed);
	enter_namespace();
	make_group();
	gate.common_base = MEMBERS;
	gate.common_count = COMMON;
	srand(2);
	for (int round = 0; round < 40; round++) {
		plan.cpu_count = plan.target_count = 0;
		for (int cpu = 0; cpu < CPU_SETSIZE && plan.cpu_count < STEER_CPUS_MAX; cpu++) {
			unsigned first = (unsigned)rand() % MEMBERS;
			/* Neighbours that this machine lacks make the search go deeper. */
			if (rand() % 4 && plan.target_count < STEER_TARGETS_MAX - MEMBERS)
				add_cpu((unsigned)cpu, first,
					1 + (unsigned)rand() % (MEMBERS - first));
		}
		gate.ifindex[0] = round % 5 ? LOOPBACK : LOOPBACK + 1;
		make();
		cr_assert_eq(reuseport_attach(group[round % SOCKETS], program, length), 0);
		for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
			if (CPU_ISSET(cpu, &allowed))
				compare(cpu, 12);
		check_all(CPU_SETSIZE, 2);
	}
}

/* The order of listen() is the index, whatever was bound first. */
Test(steer_program, the_index_is_the_order_of_listen, .timeout = 30)
{
	int swap;

	enter_namespace();
	make_group();
	gate.nic_count = 0;
	for (unsigned i = 0; i < SOCKETS; i++) {
		gate.common_base = i;
		make();
		cr_assert_eq(reuseport_attach(group[0], program, length), 0);
		cr_expect_eq(arrive(), (int)i);
	}
	/* A member that leaves: the last one takes its place. So members never leave alone. */
	swap = group[1];
	close(swap);
	group[1] = group[SOCKETS - 1];
	group[SOCKETS - 1] = -1;
	gate.common_base = 1;
	make();
	cr_assert_eq(reuseport_attach(group[0], program, length), 0);
	cr_expect_eq(arrive(), 1);
}

/* The longest jumps: all entries, all interfaces, several targets for each CPU. */
Test(steer_program, the_largest_plan, .timeout = 30)
{
	static const unsigned each[] = {2, 1, 257};

	enter_namespace();
	make_group();
	for (unsigned shape = 0; shape < 3; shape++) {
		clear();
		gate.common_base = MEMBERS;
		gate.common_count = COMMON;
		gate.nic_count = STEER_NICS_MAX;
		for (unsigned i = 0; i < STEER_NICS_MAX; i++)
			gate.ifindex[i] = i + 3;
		gate.ifindex[STEER_NICS_MAX - 1] = LOOPBACK;
		for (unsigned cpu = 0; cpu < STEER_CPUS_MAX; cpu++)
			add_cpu(cpu * 3, cpu % 4,
				each[shape] == 257 ? (cpu == 128 ? 257 : 1) : each[shape]);
		make();
		check_all(CPU_SETSIZE, STEER_NICS_MAX + 4);
		cr_assert_eq(reuseport_attach(group[0], program, length), 0, "%u instructions",
			     length);
		compare(0, 20);
	}
}
