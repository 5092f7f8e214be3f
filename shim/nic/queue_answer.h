/* Queue -> NAPI -> interrupt or thread, from the answers of netdev generic netlink (6.8 and later).
 * Pure; the bytes may be damaged. */
#pragma once
#include "shim/decide/arrival.h"
#include <stddef.h>
#include <stdint.h>

/* One direction. -1 (napi: 0) where nothing was said. */
struct queue_side {
	uint16_t count;
	uint32_t napi[RSS_QUEUES_MAX];
	int32_t irq[RSS_QUEUES_MAX];
	int32_t thread[RSS_QUEUES_MAX]; /* pid of the kernel thread of a threaded NAPI */
};

struct queue_map {
	struct queue_side rx;
	struct queue_side tx;
};

void queue_map_init(struct queue_map *map);

/* Payloads of NETDEV_CMD_QUEUE_GET and NETDEV_CMD_NAPI_GET replies, from their genlmsghdr on. All
 * queues must have been seen before the first NAPI. */
void queue_answer(struct queue_map *map, const uint8_t *payload, size_t len);
void napi_answer(struct queue_map *map, const uint8_t *payload, size_t len);
