/* What a question to rssshim.h costs, beside what a program would do instead for each connection:
 * ask the driver, or look into /proc. All in turn, medians of many rounds. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <rssshim.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 101
#define FLOWS  1024

static struct rssshim *rss;
static struct sockaddr_in remote4[FLOWS], local4;
static struct sockaddr_in6 remote6[FLOWS], local6;
static unsigned nic;
static int any_socket;
static char device[IF_NAMESIZE];
static volatile int sink;

static void flow4(int i)
{
	struct rssshim_flow flow = {nic, (struct sockaddr *)&remote4[i],
				    (struct sockaddr *)&local4};

	sink += rssshim_flow_cpu(rss, &flow, NULL);
}

static void flow6(int i)
{
	struct rssshim_flow flow = {nic, (struct sockaddr *)&remote6[i],
				    (struct sockaddr *)&local6};

	sink += rssshim_flow_cpu(rss, &flow, NULL);
}

static void one_port(int i)
{
	struct rssshim_flow flow = {nic, (struct sockaddr *)&remote4[i],
				    (struct sockaddr *)&local4};
	uint16_t port;

	sink += rssshim_ports(rss, &flow, i & 3, (unsigned)i * 2654435761u, &port, 1);
}

/* The question by which key and table are read. Where the device has none, the kernel refuses it
 * before it reaches a driver: a real answer takes longer. */
static void ask_driver(int i)
{
	struct ethtool_rxfh question = {.cmd = ETHTOOL_GRSSH};
	struct ifreq request = {.ifr_data = (char *)&question};

	(void)i;
	memcpy(request.ifr_name, device, sizeof(device));
	sink += ioctl(any_socket, SIOCETHTOOL, &request);
}

static void read_proc(int i)
{
	static char text[65536];
	int fd = open("/proc/interrupts", O_RDONLY | O_CLOEXEC);

	(void)i;
	while (read(fd, text, sizeof(text)) > 0)
		;
	close(fd);
}

static const struct row {
	const char *name;
	void (*ask)(int flow);
	int calls;
} rows[] = {
	{"where a flow arrives, IPv4", flow4, FLOWS},
	{"where a flow arrives, IPv6", flow6, FLOWS},
	{"a source port for a CPU, IPv4", one_port, FLOWS},
	{"an ethtool question to the kernel", ask_driver, 256},
	{"reading /proc/interrupts", read_proc, 4},
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static double ns_each(const struct row *row)
{
	struct timespec from, to;

	clock_gettime(CLOCK_MONOTONIC, &from);
	for (int i = 0; i < row->calls; i++)
		row->ask(i);
	clock_gettime(CLOCK_MONOTONIC, &to);
	return ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) /
	       row->calls;
}

static int compare(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

/* Loopback, described as a NIC of four queues: the answers are the same as of a real one. */
static bool start(void)
{
	setenv("RSSSHIM_NIC_LO_HASH", "toeplitz", 1);
	setenv("RSSSHIM_NIC_LO_HASH_KEY",
	       "6d:5a:56:da:25:5b:0e:c2:41:67:25:3d:43:a3:8f:b0:d0:ca:2b:cb:"
	       "ae:7b:30:b4:77:cb:2d:a3:80:30:f2:0c:6a:42:b7:3b:be:ac:01:fa",
	       1);
	setenv("RSSSHIM_NIC_LO_INDIRECTION", "equal 4", 1);
	setenv("RSSSHIM_NIC_LO_QUEUE_CPUS", "0 1 2 3", 1);
	nic = if_nametoindex("lo");
	strcpy(device, "lo");
	any_socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (!nic || rssshim_open(&rss, "/dev/null"))
		return false;
	local4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(443)};
	inet_pton(AF_INET, "192.0.2.1", &local4.sin_addr);
	local6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(443)};
	inet_pton(AF_INET6, "2001:db8::1", &local6.sin6_addr);
	for (int i = 0; i < FLOWS; i++) {
		remote4[i] = local4;
		remote6[i] = local6;
		remote4[i].sin_port = remote6[i].sin6_port = htons((uint16_t)(20000 + i));
		remote4[i].sin_addr.s_addr = htonl(0xc6336400u + (unsigned)i);
		remote6[i].sin6_addr.s6_addr[15] = (uint8_t)i;
	}
	flow4(0);
	return sink >= 0;
}

int main(void)
{
	static double ns[ROWS][ROUNDS];

	if (!start()) {
		fputs("bench_api: loopback could not be described as a NIC\n", stderr);
		return 1;
	}
	for (int round = 0; round < ROUNDS; round++)
		for (int row = 0; row < ROWS; row++)
			ns[row][round] = ns_each(&rows[row]);
	for (int row = 0; row < ROWS; row++)
		qsort(ns[row], ROUNDS, sizeof(double), compare);
	printf("%-36s %9s  %s\n", "rssshim.h, beside what else one could ask", "ns",
	       "times the first");
	for (int row = 0; row < ROWS; row++)
		printf("%-36s %14.0f  %8.1f\n", rows[row].name, ns[row][ROUNDS / 2],
		       ns[row][ROUNDS / 2] / ns[0][ROUNDS / 2]);
	rssshim_close(rss);
	return 0;
}
