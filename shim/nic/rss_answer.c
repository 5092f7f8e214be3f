#include "shim/nic/rss_answer.h"
#include "shim/kernel/netlink.h"
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/genetlink.h>
#include <string.h>

/* ETHTOOL_A_RSS_*: Linux 6.2 and later, newer than the headers this must build with. */
enum { RSS_CONTEXT = 2, RSS_HFUNC, RSS_INDIR, RSS_HKEY, RSS_INPUT_XFRM };

/* RXH_XFRM_*: Linux 6.8 and 6.15. */
enum { XFRM_SYM_XOR = 1, XFRM_SYM_OR_XOR = 2 };

/* Bits of hfunc: strings of ETH_SS_RSS_HASH_FUNCS in the kernel's own order. */
enum { HFUNC_TOEPLITZ = 1, HFUNC_XOR = 2, HFUNC_CRC32 = 4 };

static enum hash_function function_of(uint32_t bits)
{
	switch (bits) {
	case HFUNC_TOEPLITZ:
		return HASH_TOEPLITZ;
	case HFUNC_XOR:
		return HASH_XOR;
	case HFUNC_CRC32:
		return HASH_CRC32;
	default: /* several bits say what is possible, not what is used */
		return HASH_UNKNOWN;
	}
}

static enum hash_transform transform_of(uint32_t bits)
{
	if (bits & XFRM_SYM_OR_XOR)
		return TRANSFORM_SYMMETRIC_OR_XOR;
	return bits & XFRM_SYM_XOR ? TRANSFORM_SYMMETRIC_XOR : TRANSFORM_NONE;
}

static void take_key(struct rss_hash *hash, const uint8_t *key, size_t len)
{
	uint8_t any = 0;

	/* No hash of ours uses more. */
	if (len > RSS_KEY_MAX)
		len = RSS_KEY_MAX;
	for (size_t i = 0; i < len; i++)
		any |= key[i];
	if (!any)
		return;
	memcpy(hash->key, key, len);
	hash->key_len = (uint8_t)len;
}

static int take_table(struct rss_table *table, const uint8_t *bytes, size_t len)
{
	size_t entries = len / sizeof(uint32_t);

	if (entries > RSS_TABLE_MAX || len % sizeof(uint32_t))
		return -EBADMSG;
	for (size_t i = 0; i < entries; i++) {
		uint32_t queue;

		memcpy(&queue, bytes + i * sizeof(queue), sizeof(queue));
		if (queue >= RSS_QUEUES_MAX)
			return -EBADMSG;
		table->queue[i] = (uint16_t)queue;
	}
	table->size = (uint32_t)entries;
	return 0;
}

static void forget(struct rss_hash *hash, struct rss_table *table)
{
	hash->function = HASH_UNKNOWN;
	hash->transform = TRANSFORM_NONE;
	hash->key_len = 0;
	table->size = 0;
}

int rss_parse_ioctl(const void *answer, size_t len, struct rss_hash *hash, struct rss_table *table)
{
	const uint8_t *bytes = answer;
	struct ethtool_rxfh head;
	size_t table_len;

	forget(hash, table);
	if (len < sizeof(head))
		return -EBADMSG;
	memcpy(&head, bytes, sizeof(head));
	bytes += sizeof(head);
	len -= sizeof(head);
	if (head.indir_size > RSS_TABLE_MAX || head.key_size > len)
		return -EBADMSG;
	table_len = head.indir_size * sizeof(uint32_t);
	if (table_len + head.key_size > len)
		return -EBADMSG;
	hash->function = function_of(head.hfunc);
	hash->transform = transform_of(head.rsvd8[0]); /* input_xfrm since 6.8, 0 before */
	if (take_table(table, bytes, table_len)) {
		forget(hash, table);
		return -EBADMSG;
	}
	take_key(hash, bytes + table_len, head.key_size);
	return 0;
}

int rss_parse_netlink(const uint8_t *payload, size_t len, struct rss_hash *hash,
		      struct rss_table *table, uint32_t *context)
{
	struct nl_attrs attrs;
	struct nl_attr attr;
	int error = 0;

	forget(hash, table);
	*context = 0;
	if (len < GENL_HDRLEN)
		return -EBADMSG;
	attrs = (struct nl_attrs){payload + GENL_HDRLEN, len - GENL_HDRLEN};
	while (!error && nl_next(&attrs, &attr)) {
		switch (attr.type) {
		case RSS_CONTEXT:
			*context = nl_u32(&attr);
			break;
		case RSS_HFUNC:
			hash->function = function_of(nl_u32(&attr));
			break;
		case RSS_INDIR:
			error = take_table(table, attr.value, attr.len);
			break;
		case RSS_HKEY:
			take_key(hash, attr.value, attr.len);
			break;
		case RSS_INPUT_XFRM:
			hash->transform = transform_of(nl_u32(&attr));
			break;
		}
	}
	if (error || attrs.left) {
		forget(hash, table);
		return -EBADMSG;
	}
	return 0;
}

enum hash_fields rss_fields(uint64_t bits)
{
	const uint64_t addresses = RXH_IP_SRC | RXH_IP_DST;
	const uint64_t ports = RXH_L4_B_0_1 | RXH_L4_B_2_3;

	if (bits == (addresses | ports))
		return FIELDS_4_TUPLE;
	return bits == addresses ? FIELDS_ADDRESSES : FIELDS_OTHER;
}
