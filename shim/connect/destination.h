/* Where a connect() goes, as the NIC will see the replies. Pure. */
#pragma once
#include "shim/decide/flow.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct destination {
	struct flow flow;   /* remote side; local side zero */
	uint32_t interface; /* scope of a link-local IPv6 address; 0: none */
};

/* False where no NIC is concerned, or nothing can be told: another family, an address cut short,
 * loopback, unspecified, multicast. An IPv4-mapped address is IPv4. */
bool destination_parse(const struct sockaddr *address, socklen_t length, struct destination *to);

/* The address a socket is bound to, in the form of a flow's local side: all zero for any address.
 * Returns its port in host order, 0 for none and for other families. */
uint16_t destination_local(const struct sockaddr *address, uint8_t local[16]);
