/* A NIC of which nothing but (flow, CPU) is shown, and connections that are made through it. */
#pragma once
#include "shim/decide/learn.h"
#include "tests/unit/reference.h"

static struct arrival nic; /* the truth */
static struct learn learn[FLOW_FAMILIES];
static uint64_t state = 1;

static int truth(const struct flow *flow)
{
	return reference_cpu(&nic, reference_hash(&nic.hash, flow));
}

/* A NIC with a random key, its queues on CPUs in some order. */
static void nic_random(unsigned size, unsigned cpus)
{
	uint8_t key[40];

	random_bytes(&state, key, 40);
	arrival_fill(&nic, key, 40, size, cpus, cpus);
	for (unsigned i = cpus - 1; i > 0; i--) {
		unsigned j = random_below(&state, i + 1);
		int16_t swap = nic.queue_cpu[i];

		nic.queue_cpu[i] = nic.queue_cpu[j];
		nic.queue_cpu[j] = swap;
	}
	learn_init(&learn[0], FLOW_IPV4);
	learn_init(&learn[1], FLOW_IPV6);
}

/* Connections to a few servers from one address, as a proxy makes them. */
#define SERVERS 5
static struct flow servers[FLOW_FAMILIES][SERVERS];

static void servers_random(void)
{
	for (unsigned f = 0; f < FLOW_FAMILIES; f++) {
		for (unsigned i = 0; i < SERVERS; i++) {
			servers[f][i] = random_flow(&state, f ? AF_INET6 : AF_INET);
			servers[f][i].remote_port = 443;
			memcpy(servers[f][i].local, servers[f][0].local, 16);
		}
	}
}

static struct flow outgoing(unsigned family)
{
	struct flow flow = servers[family][random_below(&state, SERVERS)];

	flow.local_port = (uint16_t)(32768 + random_below(&state, 60999 - 32768 + 1));
	return flow;
}
