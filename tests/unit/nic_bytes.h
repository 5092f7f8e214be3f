/* Netlink answers put together by hand, to be parsed whole and damaged. */
#pragma once
#include <linux/netlink.h>
#include <stdint.h>
#include <string.h>

struct bytes {
	_Alignas(8) uint8_t data[32768];
	size_t len;
};

static inline void bytes_add(struct bytes *bytes, const void *value, size_t len)
{
	memcpy(bytes->data + bytes->len, value, len);
	memset(bytes->data + bytes->len + len, 0, NLA_ALIGN(len) - len);
	bytes->len += NLA_ALIGN(len);
}

static inline void bytes_attr(struct bytes *bytes, uint16_t type, const void *value, size_t len)
{
	struct nlattr attr = {.nla_type = type, .nla_len = (uint16_t)(NLA_HDRLEN + len)};

	bytes_add(bytes, &attr, sizeof(attr));
	bytes_add(bytes, value, len);
}

static inline void bytes_u32(struct bytes *bytes, uint16_t type, uint32_t value)
{
	bytes_attr(bytes, type, &value, sizeof(value));
}

static inline void bytes_text(struct bytes *bytes, uint16_t type, const char *text)
{
	bytes_attr(bytes, type, text, strlen(text) + 1);
}

/* A nested attribute: what is added between begin and end is inside. */
static inline size_t bytes_begin(struct bytes *bytes, uint16_t type)
{
	size_t at = bytes->len;

	bytes_attr(bytes, type | NLA_F_NESTED, "", 0);
	return at;
}

static inline void bytes_end(struct bytes *bytes, size_t at)
{
	uint16_t len = (uint16_t)(bytes->len - at);

	memcpy(bytes->data + at, &len, sizeof(len));
}

/* A message: begins with its header, which end completes. */
static inline size_t bytes_message(struct bytes *bytes, uint16_t type, uint32_t sequence)
{
	struct nlmsghdr header = {.nlmsg_type = type, .nlmsg_seq = sequence};
	size_t at = bytes->len;

	bytes_add(bytes, &header, sizeof(header));
	return at;
}

static inline void bytes_message_end(struct bytes *bytes, size_t at)
{
	uint32_t len = (uint32_t)(bytes->len - at);

	memcpy(bytes->data + at, &len, sizeof(len));
}
