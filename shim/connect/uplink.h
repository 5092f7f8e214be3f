/* The NICs that outgoing connections can be steered on, in the form a choice needs. Filled once,
 * then published and, but for the trust, left alone. Pure: no kernel in it. */
#pragma once
#include "shim/connect/local_ports.h"
#include "shim/connect/trust.h"
#include "shim/decide/ports.h"
#include "shim/nic/nic_view.h"

#define UPLINKS_MAX 8

struct uplink {
	char name[IF_NAMESIZE];
	uint32_t ifindex;
	bool predictable[FLOW_FAMILIES];
	bool may_learn; /* should what is reported prove wrong */
	bool learns;    /* where its flows arrive is to be told, see learn/teach.h ... */
	bool untold[FLOW_FAMILIES]; /* ... for nothing is known otherwise of these */
	bool learned;               /* the arrival comes of that */
	cpu_set_t cpus;             /* that receive */
	struct arrival arrival;
	struct ports ports;
	struct port_range range;
	struct trust trust;
};

struct uplinks {
	uint32_t generation; /* of each filling another one; 0: never filled */
	unsigned count;
	unsigned missed; /* that found no room: those that may be learned are the first to have none
			  */
	bool learns;     /* any of them */
	cpu_set_t cpus;  /* of all of them */
	struct local_ports local_ports;
	struct uplink uplink[UPLINKS_MAX];
};

/* The part of ip_local_port_range that the policy leaves; the kernel ignores ports outside of its
 * range silently. False where they have nothing in common. */
struct policy_range;
bool uplinks_range(const struct local_ports *local, const struct policy_range *wanted, uint16_t *lo,
		   uint16_t *hi);

/* From what is known of the NICs; lo to hi are the ports to choose from. `before`, which may be
 * NULL, hands its trust on where a NIC is as it was. */
void uplinks_fill(struct uplinks *out, const struct nic_set *nics, const struct local_ports *local,
		  uint16_t lo, uint16_t hi, const struct uplinks *before);

/* NULL: nothing can be chosen for that interface. */
struct uplink *uplink_find(struct uplinks *uplinks, uint32_t ifindex);
