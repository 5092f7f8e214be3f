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

/* Threads k * pool to k * pool + k - 1 belong to a pool, and are pinned to its CPU. */
static struct pool {
	int cpu;
	unsigned turn;
} pools[QUEUES_MAX];
static unsigned pool_count, threads_each = 2, turn;

static int cpus_of_pools(const struct rssshim *rss, const struct rssshim_nic *nic)
{
	struct rssshim_queue queues[QUEUES_MAX];
	int cpus[QUEUES_MAX], count;

	if (nic->rps) {
		/* RPS has the last word: a pool for each CPU it moves packets to. */
		count = rssshim_cpus(rss, nic->index, cpus, QUEUES_MAX);
	} else {
		count = rssshim_queues(rss, nic->index, queues, QUEUES_MAX);
		if (count > (int)nic->rx_queues)
			count = (int)nic->rx_queues;
		for (int i = 0; i < count && i < QUEUES_MAX; i++)
			cpus[i] = queues[i].rx_cpu;
	}
	for (int i = 0; i < count && i < QUEUES_MAX; i++)
		pools[pool_count++].cpu = cpus[i];
	return count;
}

static void print_plan(const struct rssshim *rss, const struct rssshim_nic *nic)
{
	static const char *const family[2] = {"IPv4", "IPv6"};
	struct rssshim_queue queues[QUEUES_MAX];
	int count = rssshim_queues(rss, nic->index, queues, QUEUES_MAX);

	printf("%s: %u receive and %u transmit queues, a table of %u\n", nic->name, nic->rx_queues,
	       nic->tx_queues, nic->table_size);
	if (nic->spreads_not)
		printf("  connections are not spread: %s\n", nic->spreads_not);
	for (int i = 0; i < 2; i++)
		printf("  %s source ports: %s\n", family[i],
		       nic->predictable[i] ? "can be chosen" : nic->predictable_not[i]);
	for (int i = 0; i < count && i < QUEUES_MAX; i++)
		printf("  queue %d: receives on CPU %d, sends on CPU %d\n", i, queues[i].rx_cpu,
		       queues[i].tx_cpu);
	cpus_of_pools(rss, nic);
	if (nic->follows_flow)
		printf("  replies follow the thread that sends: connections go round robin\n");
	for (unsigned i = 0; i < pool_count; i++)
		printf("  pool %u: threads %u to %u, pinned to CPU %d\n", i, i * threads_each,
		       (i + 1) * threads_each - 1, pools[i].cpu);
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
	in->sin_port = htons((uint16_t)port); /* both have it in one place */
	return inet_pton(out->ss_family, ip,
			 out->ss_family == AF_INET ? (void *)&in->sin_addr
						   : (void *)&in6->sin6_addr) == 1;
}

static void choose_threads(const struct rssshim *rss, const struct rssshim_nic *nic)
{
	struct sockaddr_storage remote, local;
	struct rssshim_flow flow = {nic->index, (struct sockaddr *)&remote,
				    (struct sockaddr *)&local};
	char remote_ip[64], local_ip[64];
	unsigned remote_port, local_port;

	while (scanf("%63s %u %63s %u", remote_ip, &remote_port, local_ip, &local_port) == 4) {
		if (!read_address(&remote, remote_ip, remote_port) ||
		    !read_address(&local, local_ip, local_port))
			continue;
		unsigned thread = thread_of(pool_of(rss, nic, &flow));

		printf("%s %u %s %u: thread %u on CPU %d\n", remote_ip, remote_port, local_ip,
		       local_port, thread, pools[thread / threads_each].cpu);
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
