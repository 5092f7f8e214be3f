/* A proxy's start-up plan: what the NIC does, a pool of threads for each queue, and for connections
 * on standard input, as lines REMOTE-IP PORT LOCAL-IP PORT, the thread that should serve each.
 *
 *	plan [-k THREADS-A-QUEUE] [-c POLICY] NIC */
#include <arpa/inet.h>
#include <net/if.h>
#include <rssshim.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QUEUES_MAX 1024

/* Threads k * pool to k * pool + k - 1 belong to a pool, and are to be pinned to its CPU. */
static struct pool {
	int cpu; /* -1: not known, or not fixed */
	unsigned turn;
} pools[QUEUES_MAX];
static unsigned pool_count, threads_each = 2, turn;

static const char *name_of(int cpu, char text[16])
{
	snprintf(text, 16, cpu < 0 ? "any CPU" : "CPU %d", cpu);
	return text;
}

/* A pool for each queue; with RPS, which has the last word, for each CPU it moves packets to. */
static void make_pools(const struct rssshim *rss, const struct rssshim_nic *nic,
		       const struct rssshim_queue *queues)
{
	int cpus[QUEUES_MAX];

	pool_count = nic->rx_queues;
	if (nic->rps)
		pool_count = (unsigned)rssshim_cpus(rss, nic->index, cpus, QUEUES_MAX);
	if (pool_count > QUEUES_MAX)
		pool_count = QUEUES_MAX;
	for (unsigned i = 0; i < pool_count; i++)
		pools[i].cpu = nic->rps ? cpus[i] : queues[i].rx_cpu;
}

static void print_plan(const struct rssshim *rss, const struct rssshim_nic *nic)
{
	static const char *const family[2] = {"IPv4", "IPv6"};
	struct rssshim_queue queues[QUEUES_MAX];
	int count = rssshim_queues(rss, nic->index, queues, QUEUES_MAX);
	char text[16], other[16];

	printf("%s: %u receive and %u transmit queues, a table of %u\n", nic->name, nic->rx_queues,
	       nic->tx_queues, nic->table_size);
	if (nic->spreads_not)
		printf("  connections are not spread: %s\n", nic->spreads_not);
	for (int i = 0; i < 2; i++)
		printf("  %s source ports: %s\n", family[i],
		       nic->predictable[i] ? "can be chosen" : nic->predictable_not[i]);
	for (int i = 0; i < count && i < QUEUES_MAX; i++)
		printf("  queue %d: receives on %s, sends on %s\n", i,
		       name_of(queues[i].rx_cpu, text), name_of(queues[i].tx_cpu, other));
	make_pools(rss, nic, queues);
	if (nic->follows_flow)
		printf("  replies follow the thread that sends: connections go round robin\n");
	for (unsigned i = 0; i < pool_count; i++)
		printf("  pool %u: threads %u to %u, to run on %s\n", i, i * threads_each,
		       (i + 1) * threads_each - 1, name_of(pools[i].cpu, text));
}

/* The pool of a flow; -1: any will do, or nothing better is known. */
static int pool_of(const struct rssshim *rss, const struct rssshim_nic *nic,
		   const struct rssshim_flow *flow)
{
	struct rssshim_place place;
	int cpu = rssshim_flow_cpu(rss, flow, &place);

	if (nic->follows_flow || cpu < 0)
		return -1;
	if (!nic->rps && place.queue >= 0 && place.queue < (int)pool_count)
		return place.queue;
	for (unsigned i = 0; i < pool_count; i++)
		if (pools[i].cpu == cpu)
			return (int)i;
	return -1;
}

static unsigned thread_of(int pool)
{
	return pool < 0 ? turn++ % (pool_count * threads_each)
			: (unsigned)pool * threads_each + pools[pool].turn++ % threads_each;
}

static bool read_address(struct sockaddr_storage *out, const char *ip, unsigned port)
{
	struct sockaddr_in *in = (struct sockaddr_in *)out;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;

	*out = (struct sockaddr_storage){.ss_family = strchr(ip, ':') ? AF_INET6 : AF_INET};
	in->sin_port = htons((uint16_t)port); /* of both families */
	void *address = out->ss_family == AF_INET ? (void *)&in->sin_addr : &in6->sin6_addr;
	return inet_pton(out->ss_family, ip, address) == 1;
}

static void choose_threads(const struct rssshim *rss, const struct rssshim_nic *nic)
{
	struct sockaddr_storage remote, local;
	struct rssshim_flow flow = {nic->index, (void *)&remote, (void *)&local};
	char remote_ip[64], local_ip[64], text[16];
	unsigned remote_port, local_port;

	while (scanf("%63s %u %63s %u", remote_ip, &remote_port, local_ip, &local_port) == 4) {
		if (!read_address(&remote, remote_ip, remote_port) ||
		    !read_address(&local, local_ip, local_port))
			continue;
		unsigned thread = thread_of(pool_of(rss, nic, &flow));

		printf("%s %u %s %u: thread %u on %s\n", remote_ip, remote_port, local_ip,
		       local_port, thread, name_of(pools[thread / threads_each].cpu, text));
	}
}

int main(int argc, char **argv)
{
	const char *policy = NULL;
	struct rssshim_nic nic;
	struct rssshim *rss;
	int option;

	while ((option = getopt(argc, argv, "k:c:")) >= 0) {
		if (option == 'k' && atoi(optarg) > 0)
			threads_each = (unsigned)atoi(optarg);
		else if (option == 'c')
			policy = optarg;
	}
	if (optind + 1 != argc) {
		fprintf(stderr, "usage: plan [-k THREADS-A-QUEUE] [-c POLICY] NIC\n");
		return 2;
	}
	int error = rssshim_open(&rss, policy);
	if (!error)
		error = rssshim_nic(rss, if_nametoindex(argv[optind]), &nic);
	if (error) {
		fprintf(stderr, "plan: %s\n", strerror(-error));
		return 1;
	}
	print_plan(rss, &nic);
	if (pool_count)
		choose_threads(rss, &nic);
	rssshim_close(rss);
	return 0;
}
