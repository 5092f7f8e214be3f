/* Connection tracking: whether packets of a connection carry other addresses or ports outside than
 * the socket has, by SNAT, DNAT or masquerading on this host. Over ctnetlink, which answers those
 * who may administer the network. Nothing is kept open. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One direction of a connection: network order, IPv4 in the first 4 bytes; ports in host order. */
struct conntrack_tuple {
	uint8_t from[16], to[16];
	uint16_t from_port, to_port;
};

/* 1: translated; 0: not; -ENOENT: nobody tracks it; another -errno. proc: directory /proc. Where
 * connection tracking is not loaded this loads nothing. */
int conntrack_translated(int proc, uint8_t family, const struct conntrack_tuple *sent);

/* Reads the payload of an answer: the direction of replies. Pure; the bytes may be damaged, then it
 * returns false. */
bool conntrack_parse(const uint8_t *payload, size_t len, struct conntrack_tuple *replies);
