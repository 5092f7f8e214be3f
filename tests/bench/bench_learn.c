/* What it costs to learn where flows arrive, and how many connections it takes. */
#include "shim/decide/learner.h"
#include "shim/decide/ports.h"
#include "tests/bench/timing.h"
#include "tests/unit/reference.h"
#include <stdio.h>
#include <stdlib.h>

#define SERVERS 5
#define FLOWS   512
#define TRIES   41
#define NICS    60

static union learner_room room;
static struct arrival nic, learned;
static struct learner learner;
static struct flow flows[FLOWS];
static struct flow servers[SERVERS];
static uint64_t seed = 1;
static volatile unsigned sink;

static int truth(const struct flow *flow)
{
	return reference_cpu(&nic, reference_hash(&nic.hash, flow));
}

static void begin(int family, unsigned cpus)
{
	uint8_t key[40];

	random_bytes(&seed, key, 40);
	arrival_fill(&nic, key, 40, 128, cpus, cpus);
	for (unsigned i = 0; i < SERVERS; i++) {
		servers[i] = random_flow(&seed, family);
		memcpy(servers[i].local, servers[0].local, 16);
		servers[i].remote_port = 443;
	}
	learner_init(&learner, NULL);
}

static struct flow connection(void)
{
	struct flow flow = servers[random_below(&seed, SERVERS)];

	flow.local_port = (uint16_t)(32768 + random_below(&seed, 28232));
	return flow;
}

/* Connections until all of the next 100 are predicted right. */
static unsigned until_known(bool probing)
{
	for (unsigned n = 1; n < 2000; n++) {
		struct flow flow = connection();
		unsigned right = 0;

		if (probing) {
			uint16_t port = learn_probe(&learner.family[flow_family(&flow)], &flow,
						    32768, 60999, random_next(&seed));
			flow.local_port = port ? port : flow.local_port;
		}
		if (!learner_observe(&learner, &flow, truth(&flow), -1, &room) ||
		    !learner_arrival(&learner, &learned, &room))
			continue;
		for (unsigned i = 0; i < 100; i++) {
			flow = connection();
			right += arrival_of(&learned, &flow).cpu == truth(&flow);
		}
		if (right == 100)
			return n;
	}
	return 2000;
}

#define MEDIAN_NS(call)                                        \
	__extension__({                                        \
		double ns[TRIES];                              \
		for (unsigned t = 0; t < TRIES; t++) {         \
			double start = now_ns();               \
			for (unsigned i = 0; i < FLOWS; i++) { \
				call;                          \
			}                                      \
			ns[t] = (now_ns() - start) / FLOWS;    \
		}                                              \
		median(ns, TRIES);                             \
	})

static void row(int family, unsigned cpus)
{
	static int cpu[FLOWS];
	double waited[NICS], probed[NICS], known, watched, observed, published;

	for (unsigned i = 0; i < NICS; i++) {
		begin(family, cpus);
		waited[i] = until_known(false);
		learner_init(&learner, NULL);
		probed[i] = until_known(true);
	}
	for (unsigned i = 0; i < FLOWS; i++) {
		flows[i] = connection();
		cpu[i] = truth(&flows[i]);
	}
	known = MEDIAN_NS(sink += (unsigned)arrival_of(&nic, &flows[i]).cpu);
	watched = MEDIAN_NS(sink += (unsigned)arrival_of(&learned, &flows[i]).cpu);
	observed = MEDIAN_NS(sink += learner_observe(&learner, &flows[i], cpu[i], -1, &room));
	published = MEDIAN_NS(sink += i % 64 ? 0 : learner_arrival(&learner, &learned, &room)) * 64;
	printf("%-5s %5u %8.0f %8.0f %10.0f %10.0f %10.0f %12.0f\n",
	       family == AF_INET6 ? "IPv6" : "IPv4", cpus, median(waited, NICS),
	       median(probed, NICS), known, watched, observed, published / 1000);
}

int main(void)
{
	printf("%zu KB a NIC; connections to %d servers, medians of %d random keys\n\n",
	       sizeof(learner) / 1024, SERVERS, NICS);
	printf("%-5s %5s %8s %8s %10s %10s %10s %12s\n", "", "", "waiting", "probing", "predict",
	       "predict", "observe", "publish");
	printf("%-5s %5s %8s %8s %10s %10s %10s %12s\n", "", "CPUs", "conns", "conns", "by key, ns",
	       "learned,ns", "known, ns", "us");
	for (unsigned cpus = 2; cpus <= 32; cpus *= 2) {
		row(AF_INET, cpus);
		row(AF_INET6, cpus);
	}
	return 0;
}
