/* The memory that an application's processes count in: written by the library, read by the command.
 *
 * The command may be run by root on a hostile process, so it trusts none of it: it works on a copy
 * and checks every number and text, see stat_read.h. */
#pragma once
#include "shim/nic/nic_view.h"
#include "shim/policy/policy.h"
#include <stdatomic.h>
#include <stdint.h>

#define STAT_MEMORY_NAME "rssshim-stat"
#define STAT_MAGIC       0x52535373u /* "RSSs" */
#define STAT_ABI         3

#define STAT_BLOCKS_MAX    512
#define STAT_LISTENERS_MAX 128
#define STAT_CPUS_MAX      256 /* rows and columns of the table; CPUs beyond share one */
#define STAT_REASON_MAX    96
#define STAT_LOOK_EVERY    64 /* outside observe mode one arrival of so many is looked at */

enum stat_counter {
#define COUNTER(name, section, key, help) STAT_##name,
#include "shim/stat/counters.def"
	STAT_COUNTERS
};

enum stat_side { STAT_ACCEPT, STAT_CONNECT, STAT_SIDES };

/* Table of arrivals: a row for each CPU a thread is at home on, a column for each CPU packets
 * arrive on. */
#define STAT_BEYOND   STAT_CPUS_MAX       /* row and column of CPUs with a higher number */
#define STAT_UNPINNED (STAT_CPUS_MAX + 1) /* row of threads that are at home nowhere */
#define STAT_ROWS     (STAT_CPUS_MAX + 2)
#define STAT_COLUMNS  (STAT_CPUS_MAX + 1)

/* A thread's counters. Once the thread has ended, another one may take the block and count on: sums
 * are over all blocks, so nothing is lost. */
struct stat_block {
	_Atomic uint64_t owner; /* process << 32 | thread; 0: never used */
	uint64_t counter[STAT_COUNTERS];
} __attribute__((aligned(128))); /* two lines: the neighbour is prefetched */

/* Rows are written by the threads of one CPU, so that they are hardly ever contended. */
struct stat_row {
	_Atomic uint64_t arrived[STAT_COLUMNS];
} __attribute__((aligned(128)));

/* An interface's slot in stat_memory.nic, or this where the interface is not known. */
#define STAT_NO_NIC NIC_MAX

enum stat_outcome_kind { STAT_ALIGNED, STAT_MISALIGNED, STAT_NOT_PINNED, STAT_OUTCOMES };

/* What arrived on one CPU, by interface, of the connections whose interface was looked at. */
struct stat_column {
	_Atomic uint64_t nic[NIC_MAX + 1][STAT_OUTCOMES];
} __attribute__((aligned(128)));

/* What is known about an interface. It keeps its slot; the slot of one that is gone is given to
 * another only if none is free. Each process of the application writes what it finds out, and all
 * find out the same. */
struct stat_nic {
	_Atomic uint32_t ifindex; /* 0: free */
	char name[IF_NAMESIZE];
	uint8_t gone;        /* bool */
	uint8_t learned;     /* bool: where packets arrive was learned by watching */
	uint64_t mistrusted; /* fingerprint of the arrival by which predictions came out wrong; 0:
				none */
	uint8_t kind, spreads, spreads_not; /* enum nic_kind, bool, enum nic_reason */
	uint8_t predictable[2], predictable_not[2];
	uint16_t queues;
	cpu_set_t cpus;
	_Atomic uint64_t right, wrong; /* of a sample of its connections: as predicted, or not */
};

/* Whether source ports are chosen. */
enum stat_outgoing {
	STAT_OUTGOING_UNASKED, /* no connect() yet */
	STAT_OUTGOING_CHOSEN,
	STAT_OUTGOING_NO_NIC,   /* predictable for none */
	STAT_OUTGOING_NO_PORTS, /* [connect] range and ip_local_port_range exclude each other */
	STAT_OUTGOING_HELD,     /* a few at once: no IP_LOCAL_PORT_RANGE */
	STAT_OUTGOINGS
};

enum stat_listener_state { STAT_LISTENER_FREE, STAT_LISTENER_CLAIMED, STAT_LISTENER_SET };

struct stat_listener {
	_Atomic uint32_t state;
	uint16_t family; /* AF_INET, AF_INET6 */
	uint16_t port;
	uint8_t address[16];
	_Atomic uint32_t members;     /* 0: not steered */
	char reason[STAT_REASON_MAX]; /* why it is not, or how it is */
};

struct stat_memory {
	/* These stay where they are in every version, so that any command can switch off. */
	_Atomic uint32_t magic; /* written last */
	uint32_t abi, size;
	_Atomic uint32_t off; /* the command's word: nothing is to be steered */

	uint32_t counters;
	uint32_t every; /* arrivals are looked at one in so many; 1: observe mode */
	char version[16];
	char program[32];

	struct policy policy;
	struct stat_nic nic[NIC_MAX];
	_Atomic uint32_t outgoing;                /* enum stat_outgoing */
	cpu_set_t receiving;                      /* CPUs that the interfaces spread over */
	_Atomic uint64_t homes[CPU_SETSIZE / 64]; /* CPUs that pinned threads were seen on */
	struct stat_listener listener[STAT_LISTENERS_MAX];

	struct stat_block crowd; /* of threads without a block: atomic increments */
	struct stat_block block[STAT_BLOCKS_MAX];
	struct stat_row table[STAT_SIDES][STAT_ROWS];
	struct stat_column column[STAT_SIDES][STAT_COLUMNS];
};
