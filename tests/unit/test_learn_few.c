/* How few observations are enough to learn from, and how few are not believed. */
#include "tests/unit/shown_nic.h"
#include <criterion/criterion.h>

/* How many observations it takes until all is known, over many keys: connections to servers in turn
 * on ports that teach most, as the library makes them; or to any of them on any port. Of these,
 * over 2,000 other keys, all is known of 99.1 % of the keys on 2 CPUs, 99.4 % on 4, all on 8, 95 %
 * on 32 (medians 32, 33, 36, 121), and of all the others some CPU was not seen even once, or some
 * server not twice. */
enum { ASKED = 100, KEYS = 200, NEVER = 9999 };

static const struct {
	unsigned cpus, after, median_probed, median;
} wanted[] = {{2, 40, 34, 36}, {4, 40, 34, 36}, {8, 100, 38, 40}, {32, 200, 75, 135}};

static int by_number(const void *a, const void *b)
{
	unsigned left = *(const unsigned *)a, right = *(const unsigned *)b;

	return left < right ? -1 : left > right;
}

static unsigned known_of_asked(const struct flow ask[ASKED])
{
	unsigned known = 0;

	for (unsigned i = 0; i < ASKED; i++) {
		int cpu = learn_predict(&learn[FLOW_IPV4], &ask[i]);

		cr_assert(cpu < 0 || cpu == truth(&ask[i]));
		known += cpu >= 0;
	}
	return known;
}

static struct flow next_connection(unsigned n, bool probing)
{
	struct flow flow = outgoing(FLOW_IPV4);

	if (probing) {
		flow = servers[FLOW_IPV4][n % SERVERS];
		flow.local_port =
			learn_probe(&learn[FLOW_IPV4], &flow, 32768, 60999, random_next(&state));
	}
	if (!flow.local_port)
		flow.local_port = (uint16_t)(32768 + random_below(&state, 60999 - 32768 + 1));
	return flow;
}

/* Observations until all of the next ones are known, of a new NIC. shown: whether each server was
 * seen twice and each CPU once meanwhile. */
static unsigned observations_needed(unsigned which, bool probing, bool *shown)
{
	unsigned to[SERVERS] = {0}, at[32] = {0}, needed = NEVER;
	struct flow ask[ASKED];

	nic_random(128, wanted[which].cpus);
	servers_random();
	for (unsigned i = 0; i < ASKED; i++)
		ask[i] = outgoing(FLOW_IPV4);
	for (unsigned n = 0; n < wanted[which].after; n++) {
		struct flow flow = next_connection(n, probing);

		learn_observe(&learn[FLOW_IPV4], &flow, truth(&flow), -1);
		at[truth(&flow)]++;
		for (unsigned i = 0; i < SERVERS; i++)
			to[i] += !memcmp(flow.remote, servers[FLOW_IPV4][i].remote, 4);
		if (needed == NEVER && known_of_asked(ask) == ASKED)
			needed = n + 1;
	}
	*shown = true;
	for (unsigned i = 0; i < SERVERS; i++)
		*shown &= to[i] >= 2;
	for (unsigned i = 0; i < wanted[which].cpus; i++)
		*shown &= at[i] >= 1;
	return needed;
}

Test(learn_few, few_observations_are_enough, .timeout = 60)
{
	unsigned needed[KEYS];
	bool shown;

	for (unsigned run = 0; run < 8; run++) {
		unsigned which = run / 2, in_time = 0, unlucky = 0;
		bool probing = run % 2;

		for (unsigned i = 0; i < KEYS; i++) {
			needed[i] = observations_needed(which, probing, &shown);
			in_time += needed[i] != NEVER;
			unlucky += needed[i] == NEVER && !shown;
		}
		qsort(needed, KEYS, sizeof(needed[0]), by_number);
		cr_expect_eq(in_time + unlucky, KEYS, "%u CPUs%s: %u known after %u, %u unlucky",
			     wanted[which].cpus, probing ? ", probing" : "", in_time,
			     wanted[which].after, unlucky);
		cr_expect_leq(unlucky, probing ? 0 : KEYS / 10, "%u CPUs: %u unlucky",
			      wanted[which].cpus, unlucky);
		cr_expect_leq(needed[KEYS / 2],
			      probing ? wanted[which].median_probed : wanted[which].median,
			      "%u CPUs: median %u", wanted[which].cpus, needed[KEYS / 2]);
	}
}

/* Packets sprayed over two CPUs look like any rule every other time, and long enough for a run of
 * luck: what failed before has to last longer. It is 19 of 4,000 where it has not. */
Test(learn_few, luck_is_hardly_ever_taken_for_a_rule, .timeout = 60)
{
	unsigned known = 0;

	for (unsigned round = 0; round < 2000; round++) {
		bool was_known = false;

		servers_random();
		learn_init(&learn[0], FLOW_IPV4);
		for (unsigned i = 0; i < 600 && learn[0].state != LEARN_REFUSED; i++) {
			struct flow flow = outgoing(FLOW_IPV4);

			learn_observe(&learn[0], &flow, (int)random_below(&state, 2), -1);
			was_known |= learn[0].state == LEARN_KNOWN;
		}
		known += was_known;
	}
	cr_expect_leq(known, 4, "%u of 2,000", known);
}

static unsigned observations_until_known(bool probing)
{
	struct flow flow = servers[0][0];
	unsigned i = 0;

	learn_init(&learn[0], FLOW_IPV4);
	for (; learn[0].state != LEARN_KNOWN && i < 2000; i++) {
		uint16_t port =
			probing ? learn_probe(&learn[0], &flow, 32768, 60999, random_next(&state))
				: 0;

		flow.local_port = port ? port : (uint16_t)(32768 + random_below(&state, 28232));
		learn_observe(&learn[0], &flow, truth(&flow), -1);
	}
	return i;
}

/* A port chosen to teach is worth more than one that comes along. */
Test(learn_few, probing_is_faster_than_waiting)
{
	static const unsigned cpus[] = {2, 4, 8, 32}, most[] = {30, 30, 35, 75};

	for (unsigned which = 0; which < 4; which++) {
		unsigned probes = 0, waits = 0;

		for (unsigned round = 0; round < 50; round++) {
			servers_random();
			nic_random(128, cpus[which]);
			probes += observations_until_known(true);
			waits += observations_until_known(false);
		}
		cr_expect_leq(probes, 50 * most[which], "%u CPUs: %u", cpus[which], probes / 50);
		/* On two CPUs most of the time goes into making sure. */
		cr_expect_leq(probes, waits + waits / 20, "%u CPUs: %u, %u", cpus[which], probes,
			      waits);
		if (cpus[which] == 32)
			cr_expect_lt(probes, waits * 3 / 4, "%u, %u", probes, waits);
	}
}
