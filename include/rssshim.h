/* Where TCP connections arrive: which CPU processes the packets of a connection, whether it exists
 * already or is still to be made, and which source ports bring the replies to a given CPU. See
 * librssshim(3).
 *
 * The library looks at the NICs when it is told to (rssshim_open, rssshim_refresh). In between it
 * answers from memory; a function that makes a system call says so below.
 *
 * Errors: a function that can fail returns -errno; none sets errno. Everywhere -ENODEV means an
 * unknown NIC, and -EINVAL an address that no NIC sees (another family, loopback, any).
 *
 * Threads: every function but rssshim_open and rssshim_close may be called from any thread at any
 * time, also during a refresh. A child of fork() may ask questions that need no system call; to
 * look at the machine it opens a handle of its own.
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

/* Looks at the NICs, which takes a few milliseconds. policy_file names a policy (rssshim.ini(5))
 * that corrects what the kernel reports ([nic] sections) and limits the ports ([connect] range);
 * NULL stands for the file that the shim itself would read for this program. Environment variables
 * override either.
 * Returns 0; -ENOENT and the like for the file; -EINVAL where something in it is wrong, reported on
 * standard error; -ENOMEM. What the kernel does not tell is no error: see rssshim_nic. */
int rssshim_open(struct rssshim **rss, const char *policy_file);

/* No other thread may be using it. NULL is ignored. */
void rssshim_close(struct rssshim *rss);

/* Looks again, and notices whether anything has changed: interrupts moved, a table rewritten,
 * routes, links, addresses, the range of local ports. For a timer of a few seconds; takes as long
 * as rssshim_open(). Returns 1 if anything has changed, and earlier answers, those of rssshim_route
 * too, may no longer hold; 0 if not; -ECHILD after a fork. */
int rssshim_refresh(struct rssshim *rss);

/* The CPU on which the last packet of a connection was processed; just after accept() that is the
 * one that completed the handshake. One getsockopt(). Needs no rssshim_open(). Returns the CPU;
 * -EAGAIN if no packet has come in yet; -EBADF, -ENOTSOCK. */
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

/* The CPU on which the packets of a flow arrive, whether the connection exists or not. Under 100
 * ns, without a system call. place, if not NULL, says how the answer came about, even if it is an
 * error. Returns the CPU; -ENODATA where it cannot be known (rssshim_nic tells why); -ENODEV;
 * -EINVAL. */
int rssshim_flow_cpu(const struct rssshim *rss, const struct rssshim_flow *flow,
		     struct rssshim_place *place);

/* Local ports with which the packets of a flow arrive on `cpu`; the local port in the flow itself
 * is ignored. They are taken from ip_local_port_range, limited by [connect] range, without the
 * reserved ports. Writes at most max of them, each once, in no order. `start` is any number and
 * says where to begin, so that callers who use the first port do not all use the same. Only
 * connect() tells whether a port is free: on EADDRNOTAVAIL take the next. Returns how many were
 * written, 0 where no port fits; -ENODATA, -ENODEV, -EINVAL. */
int rssshim_ports(const struct rssshim *rss, const struct rssshim_flow *flow, int cpu,
		  uint32_t start, uint16_t *ports, unsigned max);

/* Which way connections to `remote` go. Asks the kernel, so keep the answer until rssshim_refresh()
 * returns 1. *local is the source address to be used; if it is AF_UNSPEC or the any-address, it is
 * set to the address that the kernel would choose, with port 0. *nic is set to the interface
 * through which replies are expected, or 0 where remote is this host itself. Returns 0;
 * -ENETUNREACH and the like as connect() would; -ECHILD after a fork; -EINVAL. */
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
	/* Replies come to the CPU that sends, by themselves: Flow Director or RFS is on. Then any
	 * thread will do, and ports need not be chosen. */
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
