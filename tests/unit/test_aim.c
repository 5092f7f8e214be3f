/* What a thread aims at: ports of the NIC that the way leaves by, for the CPUs of its home. */
#include "shim/connect/aim.h"
#include "tests/unit/reference.h"
#include <criterion/criterion.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/time.h>

#define LO 40000
#define HI 49999

static struct uplinks uplinks;
static struct home home = {.version = 1};
static struct way way = {.uplinks = &uplinks};
static uint64_t state = 1;

static void add_uplink(unsigned queues)
{
	struct uplink *uplink = &uplinks.uplink[uplinks.count++];
	uint8_t key[40];

	random_bytes(&state, key, sizeof(key));
	arrival_fill(&uplink->arrival, key, sizeof(key), 128, queues, queues);
	ports_init(&uplink->ports, &uplink->arrival);
	port_range_init(&uplink->range, &uplink->ports, LO, HI);
	for (unsigned cpu = 0; cpu < queues; cpu++)
		CPU_SET(cpu, &uplink->cpus);
}

static void setup(void)
{
	uplinks.generation = 1;
	add_uplink(2);
	add_uplink(4);
	way.flow = random_flow(&state, AF_INET);
	CPU_ZERO(&home.cpus);
	CPU_SET(0, &home.cpus);
}

/* To another remote side each time, from the same local one. */
static enum aim aim_by(unsigned uplink)
{
	struct port_choice choice = {0};

	way.uplink = &uplinks.uplink[uplink];
	way.flow.remote[3]++;
	enum aim aim = aim_next(&way, &home, &choice);
	if (aim != AIM_FOUND)
		return aim;
	cr_assert(choice.port >= LO && choice.port <= HI);
	way.flow.local_port = choice.port;
	int cpu = arrival_of(&way.uplink->arrival, &way.flow).cpu;
	cr_assert(CPU_ISSET(cpu, &home.cpus), "port %u leads to CPU %d", choice.port, cpu);
	return aim;
}

Test(aim, each_nic_has_its_own_ports, .init = setup)
{
	for (unsigned i = 0; i < 1000; i++)
		cr_assert_eq(aim_by(i / 3 % 2), AIM_FOUND);
}

/* At home on the one, but on the other any CPU that receives will do. */
Test(aim, at_home_on_one_of_two_nics, .init = setup)
{
	CPU_SET(1, &home.cpus);
	for (unsigned i = 0; i < 10; i++) {
		cr_assert_eq(aim_by(1), AIM_FOUND);
		cr_assert_eq(aim_by(0), AIM_HOMELESS);
		cr_assert_eq(aim_by(0), AIM_HOMELESS, "not by the ports of the other");
	}
}

Test(aim, a_home_that_moves, .init = setup)
{
	for (unsigned i = 0; i < 100; i++) {
		CPU_ZERO(&home.cpus);
		CPU_SET(i % 4, &home.cpus);
		home.version++;
		cr_assert_eq(aim_by(1), AIM_FOUND);
		cr_assert_eq(aim_by(0), i % 4 < 2 ? AIM_FOUND : AIM_HOMELESS);
	}
}

Test(aim, reserved_ports_are_stepped_over, .init = setup)
{
	struct port_choice choice = {0};

	for (unsigned port = 0; port < 65536; port++)
		if (port % 8)
			uplinks.local_ports.reserved[port / 64] |= UINT64_C(1) << port % 64;
	uplinks.uplink[0].range.fingerprint = local_ports_fingerprint(&uplinks.local_ports);
	for (unsigned i = 0; i < 200; i++) {
		way.uplink = &uplinks.uplink[0];
		cr_assert_eq(aim_next(&way, &home, &choice), AIM_FOUND);
		cr_assert_eq(choice.port % 8, 0);
		aim_missed(&choice);
	}
}

static sigjmp_buf out;
static volatile sig_atomic_t inside, refused;

static void jump(int signal)
{
	siglongjmp(out, signal);
}

static void tick_every(int microseconds)
{
	struct itimerval timer = {{0, microseconds}, {0, microseconds}};

	cr_assert_eq(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

/* A handler that leaves a choice half done takes no later one from the thread. */
Test(aim, left_by_siglongjmp, .init = setup)
{
	struct sigaction action = {.sa_handler = jump};
	volatile unsigned jumps = 0;

	sigaction(SIGALRM, &action, NULL);
	tick_every(200);
	if (sigsetjmp(out, 1))
		jumps++;
	while (jumps < 500)
		for (unsigned i = 0; i < 1000; i++) {
			home.version += i % 50 == 0; /* everything is made anew */
			aim_by(i / 100 % 2);
		}
	tick_every(0);
	for (unsigned i = 0; i < 100; i++)
		cr_assert_eq(aim_by(i % 2), AIM_FOUND);
}

/* One that connects while its thread chooses goes without a choice, on whichever stack. */
static void connects(int signal)
{
	struct port_choice choice = {0};

	(void)signal;
	if (aim_next(&way, &home, &choice) == AIM_NONE)
		refused++;
	inside++;
}

static void interrupt(int flags)
{
	struct sigaction action = {.sa_handler = connects, .sa_flags = flags};

	inside = refused = 0;
	sigaction(SIGALRM, &action, NULL);
	tick_every(200);
	while (!refused)
		for (unsigned i = 0; i < 1000; i++) {
			home.version += i % 50 == 0;
			cr_assert_eq(aim_by(i / 100 % 2), AIM_FOUND);
		}
	tick_every(0);
	cr_assert_geq(inside, refused);
}

Test(aim, interrupted, .init = setup, .timeout = 60)
{
	static char high[1 << 16];
	stack_t stack = {.ss_sp = high, .ss_size = sizeof(high)};

	interrupt(0);
	cr_assert_eq(sigaltstack(&stack, NULL), 0);
	interrupt(SA_ONSTACK);
}
