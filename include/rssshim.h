/* Where TCP connections arrive: which CPU processes the packets of a connection, or of one that is
 * yet to be made, and which source ports bring the replies to a wanted CPU. librssshim(3).
 *
 * The library looks at the NICs once (rssshim_open) and when it is told to (rssshim_refresh). In
 * between it answers from memory: where a function below makes a system call, that is said.
 *
 * Errors: a function that can fail returns -errno; none sets errno. -ENODEV stands everywhere for a
 * NIC that is not known, -EINVAL for an address that no NIC sees (another family, loopback, any).
 *
 * Threads: every function but rssshim_open and rssshim_close may be called from any thread at any
 * time, also during a refresh. A child of fork() may ask what needs no system call; to look at the
 * machine it opens one of its own.
 *
 * CPUs, queues and interface indexes are the kernel's numbers. "Remote" is the other end of a
 * connection, "local" this host, whichever of the two connects. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

struct rssshim; /* what is known of this machine's NICs: 3 MB of memory, seven descriptors */

/* Looks at the NICs, which takes a millisecond or a few. policy_file: where a policy corrects what
 * the kernel reports ([nic] sections; [connect] range), rssshim.ini(5); NULL: the file that the
 * shim itself would read for this program. Variables of the environment hold in either case.
 * Returns 0; -ENOENT and the like for the file; -EINVAL where something is wrong in it, which is
 * said on standard error; -ENOMEM. What the kernel does not tell is no error: see rssshim_nic. */
int rssshim_open(struct rssshim **rss, const char *policy_file);

/* No other thread may be using it. NULL is ignored. */
void rssshim_close(struct rssshim *rss);

/* Looks whether anything is different by now (interrupts moved, a table rewritten, routes, links,
 * addresses, the range of local ports), and if so looks at all of it again. For a timer: every few
 * seconds is often enough, and it takes what rssshim_open() takes. Returns 1 if anything
 * changed: what was answered before, by rssshim_route too, may no longer hold; 0 if not; -ECHILD
 * after a fork. */
int rssshim_refresh(struct rssshim *rss);

/* The CPU on which the last packet of a connection was processed: for an accepted descriptor, the
 * one that finished the handshake. One getsockopt(). Returns the CPU; -EAGAIN if nothing has come
 * in yet; -EBADF, -ENOTSOCK. Needs no rssshim_open(). */
int rssshim_fd_cpu(int fd);

/* A flow: the packets of one connection that come in from `remote`. Addresses are sockaddr_in or
 * sockaddr_in6 as the family says; an IPv4-mapped address is IPv4. */
struct rssshim_flow {
	unsigned nic; /* index of the interface it comes in by: rssshim_route() */
	const struct sockaddr *remote;
	const struct sockaddr *local;
};

/* How a flow gets to its CPU, as far as that is known; -1 otherwise. */
struct rssshim_place {
	bool hashed;
	uint32_t hash; /* of the NIC, if hashed */
	int bucket;    /* of the indirection table */
	int queue;
	int cpu; /* of the queue, or where RPS then moves the packets */
};

/* The CPU that the packets of a flow arrive on, whether the connection exists or not. Under 100 ns.
 * place, if not NULL, says how it came about, also where the answer is an error.
 * Returns the CPU; -ENODATA where it cannot be known (rssshim_nic tells why); -ENODEV; -EINVAL. */
int rssshim_flow_cpu(const struct rssshim *rss, const struct rssshim_flow *flow,
		     struct rssshim_place *place);

/* Local ports of a flow with which its packets arrive on `cpu`, out of ip_local_port_range without
 * the reserved ones, or what [connect] range leaves of it. The flow's own local port does not
 * count. Writes at most max of them, each once, in no order. `start`, any number, says where to
 * begin, so that callers who take the first do not all take the same. Whether a port is free only
 * connect() tells: take another one on EADDRNOTAVAIL. Returns how many were written, 0 where no
 * port does it; -ENODATA, -ENODEV, -EINVAL. */
int rssshim_ports(const struct rssshim *rss, const struct rssshim_flow *flow, int cpu,
		  uint32_t start, uint16_t *ports, unsigned max);

/* Which way connections to `remote` go: asks the kernel, so keep the answer until rssshim_refresh()
 * returns 1. *local is the source address to be used; family AF_UNSPEC or the any-address: it
 * becomes the one the kernel would choose, with port 0. *nic becomes the interface that replies are
 * expected to come in by, 0 where remote is this host itself.
 * Returns 0; -ENETUNREACH and the like as connect() would; -ECHILD after a fork; -EINVAL. */
int rssshim_route(struct rssshim *rss, const struct sockaddr *remote,
		  struct sockaddr_storage *local, unsigned *nic);

struct rssshim_nic {
	char name[16];
	unsigned index;
	unsigned rx_queues, tx_queues; /* in use; 0: unknown */
	unsigned table_size;           /* of the indirection table; 0: unknown */
	bool up;
	bool multi_queue;
	/* Connections arrive on several CPUs, by queue or by RPS. */
	bool spreads;
	/* Replies come to the CPU that sends, by themselves: Flow Director or RFS is on. Then a
	 * thread may be chosen freely, and ports need not be. */
	bool follows_flow;
	bool rps;                /* moves packets to other CPUs than those of the queues */
	bool hashes_ports[2];    /* IPv4, IPv6: not only addresses */
	bool predictable[2];     /* IPv4, IPv6: rssshim_ports() can be answered */
	const char *spreads_not; /* a sentence, for as long as the program runs; NULL: it does */
	const char *predictable_not[2];
	uintptr_t reserved[4];
};

/* Indexes of the interfaces, those that spread packets first. Writes at most max, returns how many
 * there are. */
int rssshim_nics(const struct rssshim *rss, unsigned *nics, unsigned max);

/* Returns 0 or -ENODEV. */
int rssshim_nic(const struct rssshim *rss, unsigned nic, struct rssshim_nic *facts);

/* CPUs whose interrupts serve the n-th receive and transmit queue; -1: unknown, not fixed, or no
 * such queue. */
struct rssshim_queue {
	int rx_cpu, tx_cpu;
};

/* Writes at most max, returns how many there are, or -ENODEV. */
int rssshim_queues(const struct rssshim *rss, unsigned nic, struct rssshim_queue *queues,
		   unsigned max);

/* The CPUs that process what a NIC receives: those of its queues, or RPS's; ascending. Writes at
 * most max, returns how many there are, or -ENODEV. */
int rssshim_cpus(const struct rssshim *rss, unsigned nic, int *cpus, unsigned max);

#ifdef __cplusplus
}
#endif
