/* What the kernel says of a NIC's hash, from the bytes of its answers. Pure; the bytes may be
 * damaged: nothing is believed that does not fit the buffer or the bounds of struct arrival. */
#pragma once
#include "shim/decide/arrival.h"
#include <stddef.h>
#include <stdint.h>

/* Both return 0 or -EBADMSG, and leave what the answer does not tell unknown (function
 * HASH_UNKNOWN, key_len 0, table size 0). A key of zeros only is one the driver hides. */

/* A whole ETHTOOL_GRSSH answer: struct ethtool_rxfh, table, key. */
int rss_parse_ioctl(const void *answer, size_t len, struct rss_hash *hash, struct rss_table *table);

/* The payload of an ETHTOOL_MSG_RSS_GET reply, from its genlmsghdr on. *context is the RSS context
 * it describes, 0 the default one. */
int rss_parse_netlink(const uint8_t *payload, size_t len, struct rss_hash *hash,
		      struct rss_table *table, uint32_t *context);

/* RXH_* bits of TCP over one family. */
enum hash_fields rss_fields(uint64_t bits);
