/* What is known about each network interface, where that knowledge comes from, and what can be
 * built on it: whether listeners can be steered by the CPU of a packet, and source ports chosen.
 *
 * nic_scan() fills it at start-up, and again when something has changed; after that it is plain
 * memory, and no question below makes a system call. It contains no pointers, so it can live in
 * memory that processes share. A value that could not be read is no error: it stays unknown and
 * says who refused. */
#pragma once
#include "shim/decide/arrival.h"
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#define NIC_MAX        32 /* interfaces kept; those that spread packets come first */
#define NIC_LOWERS_MAX 8  /* members of a bond or bridge that are kept */

struct policy;
struct nic_sources;

enum nic_kind {
	NIC_VIRTUAL,  /* any other software device */
	NIC_PHYSICAL, /* has a parent device: PCI, virtio, vmbus, platform */
	NIC_LOOPBACK,
	NIC_VETH,
	NIC_BOND, /* bond or team */
	NIC_BRIDGE,
	NIC_VRF,
	NIC_VLAN,
	NIC_MACVLAN, /* macvlan or ipvlan */
	NIC_TUNNEL,
	NIC_TUN, /* tun or tap */
	NIC_KINDS
};

/* The values that can be known or unknown one by one. */
enum nic_value {
	VALUE_FUNCTION,
	VALUE_TRANSFORM,
	VALUE_FIELDS,
	VALUE_KEY,
	VALUE_TABLE,
	VALUE_QUEUES,
	VALUE_QUEUE_CPU,
	VALUE_TX_CPU,
	VALUE_RPS,
	VALUE_RFS,
	VALUE_XPS,
	VALUE_RULES,
	VALUE_CONTEXTS,
	NIC_VALUES
};

enum nic_origin {
	ORIGIN_UNKNOWN,
	ORIGIN_IOCTL,   /* ethtool ioctl */
	ORIGIN_NETLINK, /* ethtool, netdev or route netlink */
	ORIGIN_SYSFS,
	ORIGIN_PROC,
	ORIGIN_DRIVER, /* what this driver is known to do, the kernel does not tell */
	ORIGIN_LOWER,  /* taken over from the interface below */
	ORIGIN_POLICY,
	ORIGIN_WATCHED, /* learned from where flows arrived */
	NIC_ORIGINS
};

struct nic_fact {
	uint16_t origin; /* enum nic_origin */
	int16_t error;   /* why it is unknown: -errno of the last source asked; 0: none tells */
};

/* Why an interface does not spread packets, or why ports cannot be chosen for it. */
enum nic_reason {
	REASON_NONE, /* it does; they can */
	REASON_LOOPBACK,
	REASON_LOCAL_LINK,    /* veth, tap, bridge of such: packets arrive on the sender's CPU */
	REASON_TUNNEL,        /* the outer packet is what the NIC hashes */
	REASON_NO_LOWER,      /* the interface below is in another namespace or unknown */
	REASON_LOWERS_DIFFER, /* a packet may come in by either of several unlike NICs */
	REASON_SINGLE_QUEUE,
	REASON_ONE_CPU, /* several queues, all served by one CPU */
	REASON_POLICY,  /* hash = none */
	REASON_LEARN,   /* hash = learn: only watching will tell */
	REASON_NO_KEY,
	REASON_NO_TABLE,
	REASON_NO_FUNCTION,
	REASON_NOT_LINEAR,   /* XOR, CRC32 or a driver's own order of the fields */
	REASON_NO_PORTS,     /* only the addresses are hashed */
	REASON_FIELDS,       /* hashed fields unknown, or others than addresses and ports */
	REASON_FOLLOWS_FLOW, /* Flow Director, RFS: replies follow the sender by themselves */
	REASON_RULES,        /* n-tuple rules overrule the table */
	REASON_RSS_OFF,      /* the driver reports a table that the device does not use */
	REASON_QUEUE_CPU,    /* the CPU of a queue in use is unknown or not fixed */
	REASON_RPS_HASH,     /* RPS with a hash that the NIC did not deliver */
	REASON_RPS_DIFFERS,  /* another RPS map for each queue */
	NIC_REASONS
};

struct nic_view {
	char name[IF_NAMESIZE];
	uint32_t ifindex;
	enum nic_kind kind;
	char driver[32]; /* "" where unknown */
	bool up;
	bool active_backup; /* of a bond: lower[0] is the member in use */
	uint8_t lower_count;
	uint32_t lower[NIC_LOWERS_MAX]; /* ifindex of the interfaces below */
	int16_t numa_node;              /* -1: none */

	struct arrival arrival;
	/* Transmit CPUs, XPS and RSS contexts are read with nic_sources.detail only. */
	uint16_t tx_count;
	int16_t tx_cpu[RSS_QUEUES_MAX];    /* CPU of a transmit queue's interrupt; -1: unknown */
	int16_t xps_queue[CPU_SETSIZE];    /* first transmit queue XPS gives this CPU; -1: none */
	int32_t queue_irq[RSS_QUEUES_MAX]; /* of the receive queues; -1: unknown */
	/* The kernel's number of a threaded NAPI's thread; -1: none known. */
	int32_t queue_thread[RSS_QUEUES_MAX];

	bool multi_queue;   /* the table, or the channel count, names more than one queue */
	bool rx_hash;       /* packets carry the NIC's hash, which RPS then uses */
	bool ntuple;        /* n-tuple filters are switched on */
	bool flow_director; /* the device steers replies to the sender's queue */
	bool rfs;
	bool accelerated_rfs;
	bool threaded_napi;
	bool rps_differs;  /* the receive queues have unlike RPS masks, or some CPU of a mask is
			      unplugged */
	bool doubtful;     /* the driver is known to report what the device does not do: verify */
	bool learn;        /* policy: hash = learn */
	bool settled;      /* policy: hash = toeplitz or none */
	bool may_learn;    /* if nothing is reported, or what is reported proves wrong */
	bool untold[2];    /* by family: not reported, but can be learned by watching */
	bool learnable;    /* either family */
	bool disproved;    /* the device was seen not to do what is reported */
	bool learned;      /* the verdict below comes from watching; so does the arrival where
			      ports are predictable */
	uint32_t rules;    /* n-tuple rules that touch TCP */
	uint32_t contexts; /* RSS contexts besides the default one */

	struct nic_fact fact[NIC_VALUES];

	/* Inbound: packets are spread over CPUs by queue or by RPS, so the listening half may
	 * trust the CPU of a SYN. */
	bool spreads;
	enum nic_reason spreads_not; /* REASON_NONE where it does */
	/* Outbound: the arrival above can be inverted to source ports; [0] IPv4, [1] IPv6. */
	bool predictable[2];
	enum nic_reason predictable_not[2];
	cpu_set_t cpus; /* CPUs that receive: of the queues, or of RPS */
};

struct nic_set {
	uint16_t count;
	uint16_t missed; /* interfaces beyond NIC_MAX */
	struct nic_view view[NIC_MAX];
};

/* Looks at every interface of this network namespace. `policy` may be NULL. Allocates nothing and
 * leaves no descriptor open. Drivers are asked, under the kernel's lock of all network
 * configuration, which somebody else may hold for seconds. Measured: 0.1 ms for a NIC of one queue,
 * 20 us for a veth. Returns the number of views, or -errno where not even the names of the
 * interfaces can be read. */
int nic_scan(struct nic_set *out, const struct policy *policy, const struct nic_sources *sources);

/* Whether two scans found the same. */
bool nic_set_same(const struct nic_set *a, const struct nic_set *b);

/* `dev`, which need not exist, as its [nic] section alone describes it. */
void nic_scan_described(struct nic_set *out, const char *dev, const struct policy *policy);

/* The device was seen not to do what it reports: forgets what it reported. */
void nic_disprove(struct nic_view *view);

/* Puts what watching has taught about an interface in place of what nic_scan() found, unless that
 * would lose what is reported for a family. */
struct learned;
void nic_apply_learned(struct nic_view *view, const struct learned *learned);

/* Whether any interface can be learned, and so may turn out to spread packets. */
bool nic_any_learnable(const struct nic_set *set);

/* Whether any interface spreads packets or may come to: it can be learned, or has several queues
 * that one CPU serves so far. */
bool nic_may_spread(const struct nic_set *set);

/* NULL where there is no such interface. Here and below, a NULL set is an empty one. */
const struct nic_view *nic_by_index(const struct nic_set *set, uint32_t ifindex);
const struct nic_view *nic_by_name(const struct nic_set *set, const char *name);

/* The interfaces whose packets may be steered by CPU: writes at most `max` of their indexes and the
 * union of the CPUs that receive from them; `cpus` may be NULL. Returns how many were written. */
unsigned nic_spreading(const struct nic_set *set, uint32_t *ifindexes, unsigned max,
		       cpu_set_t *cpus);

/* Whether its packets come in through interfaces below it (VLAN, bond, bridge): it takes their
 * arrival over. */
bool nic_stands_on_others(const struct nic_view *view);

/* One word for tables and JSON, or one sentence; never NULL. */
const char *nic_kind_name(enum nic_kind kind);
const char *nic_origin_name(enum nic_origin origin);
const char *nic_value_name(enum nic_value value);
const char *nic_reason_name(enum nic_reason reason);
const char *nic_reason_text(enum nic_reason reason);
const char *hash_function_name(enum hash_function function);
const char *hash_transform_name(enum hash_transform transform);
const char *hash_fields_name(enum hash_fields fields);
