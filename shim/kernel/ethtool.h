/* The ethtool questions that need no privilege, over SIOCETHTOOL. The fd is any AF_INET or AF_INET6
 * socket of the network namespace, or -errno, which is then the answer. All return 0 or -errno. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Driver name ("" when the answer is damaged) and the bus address, such as 0000:17:00.0. */
int ethtool_driver(int fd, const char *dev, char *driver, size_t driver_size, char *bus,
		   size_t bus_size);

/* Receive and transmit channels in use, combined ones counted in both. */
int ethtool_channels(int fd, const char *dev, uint32_t *rx, uint32_t *tx);

/* The most combined channels the device can have. */
int ethtool_channels_possible(int fd, const char *dev, uint32_t *combined);

/* Receive rings: the older question. */
int ethtool_rings(int fd, const char *dev, uint32_t *rings);

/* The whole ETHTOOL_GRSSH answer into `answer` (struct ethtool_rxfh and its tail), for
 * rss_parse_ioctl(); *len is what is there. -EMSGSIZE: larger than `size`. */
int ethtool_rss(int fd, const char *dev, void *answer, size_t size, size_t *len);

/* ETHTOOL_GRXFHINDIR, for drivers that have a table but do not know GRSSH. `answer`: room for the
 * time of the call. */
int ethtool_table(int fd, const char *dev, void *answer, size_t size, uint16_t *queue, uint32_t max,
		  uint32_t *entries);

/* RXH_* bits of a flow type such as TCP_V4_FLOW. */
int ethtool_hash_fields(int fd, const char *dev, uint32_t flow_type, uint64_t *bits);

/* rx-hashing and ntuple-filters. */
int ethtool_flags(int fd, const char *dev, bool *rx_hash, bool *ntuple);

/* A driver's private flag. -ENOENT: it has no flag of that name. */
int ethtool_private_flag(int fd, const char *dev, const char *name, bool *on);

/* Whether an n-tuple rule can apply to TCP packets whose local port is within low-high. Pure. */
struct ethtool_rx_flow_spec;
bool ethtool_rule_may_match(const struct ethtool_rx_flow_spec *rule, uint16_t low, uint16_t high);

/* Counts such rules. */
int ethtool_rules(int fd, const char *dev, uint16_t low, uint16_t high, uint32_t *rules);
