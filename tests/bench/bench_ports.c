/* What a source port that fits costs: ours, the loops that others use, and DPDK where it is
 * installed. All methods take turns in one run, a batch each; a row gives the median of the batches
 * in ns a port, and for the others how many times ours that is. */
#include "shim/decide/port_pick.h"
#include "tests/bench/timing.h"
#include "tests/unit/reference.h"
#include <stdio.h>
#include <stdlib.h>
#ifdef HAVE_DPDK
#include <rte_eal.h>
#include <rte_thash.h>
#endif

#define ROUNDS   41
#define REMOTES  512
#define BATCH_NS 30000.0
#define FIRST    32768
#define LAST     60999
#define HOME_CPU 1
#define BEST_OF  5

static struct arrival nic;
static struct ports ports;
static struct port_target target;
static struct port_range range;
static struct port_set set;
static struct port_pick pick;
static struct flow flows[REMOTES];
static bool fresh; /* another remote address each time */
static unsigned turn;
static uint64_t seed = 1;
static volatile unsigned sink;

static struct flow *next_flow(void)
{
	return &flows[fresh ? turn++ % REMOTES : 0];
}

static bool fits(uint32_t hash)
{
	return nic.queue_cpu[nic.table.queue[hash & (nic.table.size - 1)]] == HOME_CPU;
}

/* One multiplication, for every method alike: what is measured is not the generator. */
static uint32_t random_32(void)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 32);
}

static unsigned random_port(void)
{
	return FIRST + (unsigned)((uint64_t)random_32() * (LAST - FIRST + 1) >> 32);
}

/* --- ours --- */

/* As connect() asks. */
static void ask(const struct flow *flow)
{
	if (!port_set_move(&set, flow))
		port_set_init(&set, &nic, &ports, &target, &range, flow);
}

static unsigned solve(void)
{
	uint16_t port;

	if (fresh)
		ask(next_flow());
	do {
		port = port_set_at(&set, (uint32_t)((uint64_t)random_32() * set.positions >> 32));
	} while (!port);
	return port;
}

static unsigned pick_next(const struct flow *flow)
{
	struct port_choice choice = {0};

	port_pick_next(&pick, &set, flow, &choice);
	return choice.port;
}

static unsigned pick_for(const struct flow *flow)
{
	ask(flow);
	return pick_next(flow);
}

static unsigned whole_pick(void)
{
	struct flow *flow = next_flow();

	return fresh ? pick_for(flow) : pick_next(flow);
}

/* --- the loops of others: the whole tuple is hashed for each port that is tried --- */

static unsigned input_words(uint32_t words[9], const struct flow *flow)
{
	unsigned n = flow->family == AF_INET6 ? 4 : 1;

	for (unsigned i = 0; i < n; i++) {
		memcpy(&words[i], flow->remote + 4 * i, 4);
		memcpy(&words[n + i], flow->local + 4 * i, 4);
		words[i] = __builtin_bswap32(words[i]);
		words[n + i] = __builtin_bswap32(words[n + i]);
	}
	return 2 * n;
}

/* By the same tables as ours: what is compared is the way, not the hash. */
static uint32_t loop_hash(const uint32_t *words, unsigned count)
{
	uint32_t hash = 0;

	for (unsigned i = 0; i < count; i++)
		hash ^= toeplitz_word(&nic.toeplitz, i, words[i]);
	return hash;
}

static unsigned random_loop(void)
{
	struct flow *flow = next_flow();
	uint32_t words[9];
	unsigned n = input_words(words, flow), port;

	do {
		port = random_port();
		words[n] = (uint32_t)flow->remote_port << 16 | port;
	} while (!fits(loop_hash(words, n + 1)));
	return port;
}

static unsigned sequential_loop(void)
{
	static unsigned last = FIRST;
	struct flow *flow = next_flow();
	uint32_t words[9];
	unsigned n = input_words(words, flow);

	do {
		last = last == LAST ? FIRST : last + 1;
		words[n] = (uint32_t)flow->remote_port << 16 | last;
	} while (!fits(loop_hash(words, n + 1)));
	return last;
}

#ifdef HAVE_DPDK
static uint8_t softrss_key[RSS_KEY_MAX];
static struct rte_thash_ctx *thash;
static struct rte_thash_subtuple_helper *helper;

static unsigned dpdk_softrss(void)
{
	struct flow *flow = next_flow();
	uint32_t words[9];
	unsigned n = input_words(words, flow), port;

	do {
		port = random_port();
		words[n] = (uint32_t)flow->remote_port << 16 | port;
	} while (!fits(rte_softrss_be(words, n + 1, softrss_key)));
	return port;
}

/* Solves too, but for a key of its own making, which the NIC would have to be given. */
static unsigned dpdk_adjust(void)
{
	struct flow *flow = next_flow();
	unsigned n = flow->family == AF_INET6 ? 16 : 4;
	uint8_t tuple[36];
	uint16_t port = (uint16_t)random_32();
	unsigned bucket = HOME_CPU + nic.queue_count * random_32() % 8;

	memcpy(tuple, flow->remote, n);
	memcpy(tuple + n, flow->local, n);
	tuple[2 * n] = (uint8_t)(flow->remote_port >> 8);
	tuple[2 * n + 1] = (uint8_t)flow->remote_port;
	memcpy(tuple + 2 * n + 2, &port, 2);
	rte_thash_adjust_tuple(thash, helper, tuple, 2 * n + 4, bucket & (nic.table.size - 1), 1,
			       NULL, NULL);
	return tuple[2 * n + 2];
}

static bool dpdk_start(void)
{
	char *arguments[] = {"bench",          "--no-huge",         "--no-pci", "--no-shconf",
			     "--no-telemetry", "--log-level=error", "-m32",     NULL};

	return rte_eal_init(7, arguments) >= 0;
}

static bool dpdk_prepare(unsigned family)
{
	rte_convert_rss_key((const uint32_t *)nic.hash.key, (uint32_t *)softrss_key, 40);
	if (thash)
		rte_thash_free_ctx(thash);
	thash = rte_thash_init_ctx("bench", 40, (uint32_t)__builtin_ctz(nic.table.size),
				   nic.hash.key, 0);
	if (!thash || rte_thash_add_helper(thash, "port", 16, family == AF_INET6 ? 272 : 80))
		return false;
	helper = rte_thash_get_helper(thash, "port");
	return helper != NULL;
}
#endif

/* --- measuring --- */

struct method {
	const char *name;
	unsigned (*port)(void);
	unsigned batch;
	double ns[ROUNDS];
};

static struct method methods[] = {
	{.name = "solve", .port = solve},          {.name = "pick", .port = whole_pick},
	{.name = "random", .port = random_loop},   {.name = "sequential", .port = sequential_loop},
#ifdef HAVE_DPDK
	{.name = "softrss", .port = dpdk_softrss}, {.name = "adjust", .port = dpdk_adjust},
#endif
};
#define METHODS (sizeof(methods) / sizeof(methods[0]))

static double batch_ns(struct method *m)
{
	double start = now_ns();

	for (unsigned i = 0; i < m->batch; i++)
		sink += m->port();
	return (now_ns() - start) / m->batch;
}

static void measure_row(const char *name, unsigned size, unsigned queues)
{
	double ns[METHODS];

	for (struct method *m = methods; m < methods + METHODS; m++) {
		m->batch = 64;
		double once = batch_ns(m);

		m->batch = once * 64 > BATCH_NS ? 64 : (unsigned)(BATCH_NS / once);
	}
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (struct method *m = methods; m < methods + METHODS; m++)
			m->ns[round] = batch_ns(m);
	}
	for (unsigned i = 0; i < METHODS; i++)
		ns[i] = median(methods[i].ns, ROUNDS);
	printf("%-5s %-8s %6u %6u %7.1f %7.1f", name, fresh ? "fresh" : "repeated", size, queues,
	       ns[0], ns[1]);
	for (unsigned i = 2; i < METHODS; i++)
		printf(" %10.1fx", ns[i] / ns[0]);
	puts("");
}

static void prepare(int family, unsigned size, unsigned queues)
{
	uint8_t secret[16];
	cpu_set_t cpus;

	arrival_fill(&nic, reference_microsoft_key, 40, size, queues, queues);
	ports_init(&ports, &nic);
	CPU_ZERO(&cpus);
	CPU_SET(HOME_CPU, &cpus);
	port_target_init(&target, &ports, &cpus);
	port_range_init(&range, &ports, FIRST, LAST);
	for (unsigned i = 0; i < REMOTES; i++) {
		flows[i] = random_flow(&seed, family);
		memcpy(flows[i].local, flows[0].local, 16);
	}
	port_set_init(&set, &nic, &ports, &target, &range, &flows[0]);
	random_bytes(&seed, secret, 16);
	port_pick_init(&pick, secret);
}

/* Shortest of a few, in ns each. */
#define BEST(call)                                                              \
	__extension__({                                                         \
		double best = 1e18;                                             \
		for (unsigned attempt = 0; attempt < BEST_OF * 10; attempt++) { \
			double start = now_ns();                                \
			for (unsigned i = 0; i < REMOTES; i++) {                \
				call;                                           \
			}                                                       \
			double each = (now_ns() - start) / REMOTES;             \
			best = each < best ? each : best;                       \
		}                                                               \
		best;                                                           \
	})

static void print_costs(void)
{
	double ipv4, ipv6, seal, build, first, whole, unseen;

	prepare(AF_INET6, 128, 8);
	ipv6 = BEST(sink += (unsigned)arrival_of(&nic, &flows[i]).cpu);
	prepare(AF_INET, 128, 8);
	ipv4 = BEST(sink += (unsigned)arrival_of(&nic, &flows[i]).cpu);
	printf("where a flow arrives: %.0f ns IPv4, %.0f ns IPv6\n", ipv4, ipv6);
	for (unsigned size = 128; size <= 2048; size *= 4) {
		prepare(AF_INET, size, 8);
		seal = BEST(arrival_seal(&nic));
		build = BEST(ports_init(&ports, &nic));
		printf("a key, table of %u: %.0f us to expand it, %.0f us for the ports of both "
		       "families\n",
		       size, seal / 1000, build / 1000);
	}
	prepare(AF_INET, 128, 8);
	unseen = BEST({
		uint32_t remote = random_32();

		memcpy(flows[i].remote, &remote, sizeof(remote));
		sink += pick_for(&flows[i]);
	});
	printf("first pick for a destination never seen before: %.0f ns, IPv4\n", unseen);
	whole = BEST(port_set_init(&set, &nic, &ports, &target, &range, &flows[i]));
	printf("another local address, NIC or home: %.0f ns for the question alone, IPv4\n", whole);
	nic.hash.transform = TRANSFORM_SYMMETRIC_OR_XOR;
	ports_init(&ports, &nic);
	first = BEST({
		flows[i].remote_port++;
		port_set_init(&set, &nic, &ports, &target, &range, &flows[i]);
	});
	printf("symmetric-or-xor: %.0f ns more for the first port of another remote port\n", first);
	printf("memory: %zu bytes a key, %zu for its ports, %zu a thread, %zu KB a process for the "
	       "pick (%zu touched before a port is found taken)\n\n",
	       sizeof(nic.toeplitz), sizeof(ports), sizeof(set) + sizeof(target) + sizeof(range),
	       sizeof(pick) / 1024, offsetof(struct port_pick, map));
}

int main(void)
{
	static const unsigned sizes[] = {128, 512, 2048}, queues[] = {2, 8, 16, 64, 128};

#ifdef HAVE_DPDK
	if (!dpdk_start()) {
		fputs("bench_ports: DPDK does not start\n", stderr);
		return 1;
	}
#else
	puts("(rows of DPDK left out: libdpdk-dev is not installed)");
#endif
	print_costs();
	puts("solve: a random matching port, the flow's hash included where the remote is fresh\n"
	     "pick: the next port of the walk, the same included\n"
	     "random, sequential: ports are tried until the hash of the flow fits\n"
	     "softrss: random with DPDK's rte_softrss_be; adjust: rte_thash_adjust_tuple, right "
	     "only for\n        a key that it makes itself and the NIC is given\n");
	printf("%-5s %-8s %6s %6s %7s %7s", "", "remote", "table", "queues", "solve", "pick");
	for (unsigned i = 2; i < METHODS; i++)
		printf(" %11s", methods[i].name);
	printf("\n%-5s %-8s %6s %6s %7s %7s   times the solve\n", "", "", "", "", "ns", "ns");
	for (unsigned f = 0; f < 2; f++) {
		for (unsigned r = 0; r < 2; r++) {
			for (unsigned s = 0; s < 3; s++) {
				for (unsigned q = 0; q < 5; q++) {
					fresh = r == 0;
					prepare(f ? AF_INET6 : AF_INET, sizes[s], queues[q]);
#ifdef HAVE_DPDK
					if (!dpdk_prepare(f ? AF_INET6 : AF_INET))
						return 1;
#endif
					measure_row(f ? "IPv6" : "IPv4", sizes[s], queues[q]);
				}
			}
		}
	}
	return 0;
}
