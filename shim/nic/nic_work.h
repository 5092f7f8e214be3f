/* Working memory of discovery, for one thread at a time. The caller provides it, as discovery runs
 * inside calls of the application, whose threads may have stacks of 16 KB. */
#pragma once
#include "shim/nic/nic_links.h"
#include "shim/nic/nic_view.h"
#include "shim/nic/queue_answer.h"
#include <linux/ethtool.h>

struct rss_search {
	struct rss_hash hash;
	struct rss_table table;
	struct rss_hash hash_of_one;
	struct rss_table table_of_one;
	uint32_t contexts; /* others than the default one */
	bool found;
};

/* RPS masks of all queues. */
struct rps_masks {
	cpu_set_t first, all;
	bool some_spread; /* over several CPUs */
	bool unlike;
	int16_t single[RSS_QUEUES_MAX]; /* the only CPU of a queue's mask; -1: none, or several */
	bool none[RSS_QUEUES_MAX];      /* no RPS for that queue */
};

struct nic_work {
	_Alignas(struct ethtool_rxfh) uint8_t answer[RSS_TABLE_MAX * sizeof(uint32_t) + 1024];
	struct nic_links links;
	struct rss_search search;
	struct queue_map map;
	int32_t half[RSS_QUEUES_MAX];
	struct rps_masks rps;
	struct nic_view again;
};
