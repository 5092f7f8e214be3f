/* A TCP flow as the receiving side sees it. Pure data: no kernel in it. */
#pragma once
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

/* Address bytes are in network order (IPv4 in the first 4 of the 16), ports in host order.
 * "Remote" is the sender of the packets that the NIC hashes, "local" is this host: for an accepted
 * connection the client and the listener, for an outgoing one the server and our source address. */
struct flow {
	uint8_t family; /* AF_INET or AF_INET6; an IPv4-mapped address is AF_INET here */
	uint8_t remote[16];
	uint8_t local[16];
	uint16_t remote_port;
	uint16_t local_port;
};

/* The two families index whatever is kept per family. */
enum flow_family { FLOW_IPV4, FLOW_IPV6, FLOW_FAMILIES };

static inline enum flow_family flow_family(const struct flow *flow)
{
	return flow->family == AF_INET6 ? FLOW_IPV6 : FLOW_IPV4;
}

/* Addresses in words of 32 bits, as hashes take them. */
static inline unsigned flow_address_words(enum flow_family family)
{
	return family == FLOW_IPV6 ? 4 : 1;
}

static inline uint32_t flow_address_word(const uint8_t address[16], unsigned index)
{
	uint32_t word;

	memcpy(&word, address + 4 * index, sizeof(word));
	return ntohl(word);
}
