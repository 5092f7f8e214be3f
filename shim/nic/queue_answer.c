#include "shim/nic/queue_answer.h"
#include "shim/kernel/netlink.h"
#include <linux/genetlink.h>

/* NETDEV_A_QUEUE_* and NETDEV_A_NAPI_*: newer than the headers this must build with. */
enum { QUEUE_ID = 1, QUEUE_IFINDEX, QUEUE_TYPE, QUEUE_NAPI_ID };
enum { NAPI_IFINDEX = 1, NAPI_ID, NAPI_IRQ, NAPI_PID };
enum { TYPE_RX, TYPE_TX };

static void side_init(struct queue_side *side)
{
	side->count = 0;
	for (int i = 0; i < RSS_QUEUES_MAX; i++) {
		side->napi[i] = 0;
		side->irq[i] = -1;
		side->thread[i] = -1;
	}
}

void queue_map_init(struct queue_map *map)
{
	side_init(&map->rx);
	side_init(&map->tx);
}

static bool first_attr(struct nl_attrs *attrs, const uint8_t *payload, size_t len)
{
	if (len < GENL_HDRLEN)
		return false;
	*attrs = (struct nl_attrs){payload + GENL_HDRLEN, len - GENL_HDRLEN};
	return true;
}

void queue_answer(struct queue_map *map, const uint8_t *payload, size_t len)
{
	uint32_t id = RSS_QUEUES_MAX;
	uint32_t type = UINT32_MAX;
	uint32_t napi = 0;
	struct queue_side *side;
	struct nl_attrs attrs;
	struct nl_attr attr;

	if (!first_attr(&attrs, payload, len))
		return;
	while (nl_next(&attrs, &attr)) {
		if (attr.type == QUEUE_ID)
			id = nl_u32(&attr);
		else if (attr.type == QUEUE_TYPE)
			type = nl_u32(&attr);
		else if (attr.type == QUEUE_NAPI_ID)
			napi = nl_u32(&attr);
	}
	if (id >= RSS_QUEUES_MAX || type > TYPE_TX)
		return;
	side = type == TYPE_RX ? &map->rx : &map->tx;
	side->napi[id] = napi;
	if (id >= side->count)
		side->count = (uint16_t)(id + 1);
}

static void side_take(struct queue_side *side, uint32_t napi, int32_t irq, int32_t thread)
{
	for (int i = 0; i < side->count; i++) {
		if (side->napi[i] != napi)
			continue;
		side->irq[i] = irq;
		side->thread[i] = thread;
	}
}

void napi_answer(struct queue_map *map, const uint8_t *payload, size_t len)
{
	uint32_t id = 0;
	int32_t irq = -1;
	int32_t thread = -1;
	struct nl_attrs attrs;
	struct nl_attr attr;

	if (!first_attr(&attrs, payload, len))
		return;
	while (nl_next(&attrs, &attr)) {
		if (attr.type == NAPI_ID)
			id = nl_u32(&attr);
		else if (attr.type == NAPI_IRQ)
			irq = (int32_t)nl_u32(&attr);
		else if (attr.type == NAPI_PID)
			thread = (int32_t)nl_u32(&attr);
	}
	if (!id)
		return;
	side_take(&map->rx, id, irq, thread);
	side_take(&map->tx, id, irq, thread);
}
