/* Netlink, as little as discovery needs: build a request in a fixed buffer, walk an answer that may
 * be damaged, exchange one for the other. Nothing allocates, nothing blocks for long. */
#pragma once
#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A request being built. After an attribute that did not fit, `len` is 0 and sending fails with
 * -EMSGSIZE. */
struct nl_request {
	_Alignas(struct nlmsghdr) uint8_t data[256];
	size_t len;
};

/* `extra` is the family's fixed header (rtmsg, ifinfomsg, genlmsghdr) of extra_len bytes. */
void nl_request_init(struct nl_request *request, uint16_t type, uint16_t flags, const void *extra,
		     size_t extra_len);
void nl_request_add(struct nl_request *request, uint16_t type, const void *value, size_t len);
void nl_request_add_u32(struct nl_request *request, uint16_t type, uint32_t value);

/* Attributes added in between are inside of this one. */
size_t nl_nest_begin(struct nl_request *request, uint16_t type);
void nl_nest_end(struct nl_request *request, size_t nest);

/* One attribute of an answer: value points into it, len bytes that are really there. */
struct nl_attr {
	uint16_t type; /* without the nested and byte-order flags */
	const uint8_t *value;
	size_t len;
};

struct nl_attrs {
	const uint8_t *at;
	size_t left;
};

static inline struct nl_attrs nl_nested(const struct nl_attr *attr)
{
	return (struct nl_attrs){attr->value, attr->len};
}

/* False at the end, and at the first attribute that does not fit. */
bool nl_next(struct nl_attrs *attrs, struct nl_attr *attr);

/* Values of fewer bytes than asked for are 0 or "". */
uint32_t nl_u32(const struct nl_attr *attr);
void nl_text(const struct nl_attr *attr, char *text, size_t size);

/* Calls message() for every message in a datagram: its type, and its payload behind the header.
 * Returns false when the last one of a dump or an acknowledgement was seen, whose error, 0 or
 * -errno, is then in *error; true when more datagrams follow. Damaged messages end the walk with
 * -EBADMSG. */
typedef void (*nl_message_fn)(void *context, uint16_t type, const uint8_t *payload, size_t len);
bool nl_walk(const uint8_t *data, size_t len, uint32_t sequence, nl_message_fn message,
	     void *context, int *error);

/* The caller's: the kernel cuts a dump into pieces that fit it, but no single message:
 * -EMSGSIZE. */
struct nl_buffer {
	uint8_t *data;
	size_t size;
};

/* Sends a request and walks all of its answer. Returns 0 or -errno (-EAGAIN: the kernel did not
 * answer). The socket must not be shared with a concurrent caller. */
int nl_exchange(int fd, struct nl_request *request, struct nl_buffer buffer, nl_message_fn message,
		void *context);

/* A close-on-exec socket; `groups` as in sockaddr_nl, only for NETLINK_ROUTE. Or -errno. */
int nl_open(int protocol, uint32_t groups, bool nonblocking);

/* A generic netlink family: its number, or -errno; and the number of one of its multicast groups
 * in *group (0: no such group) when `group_name` is not NULL. The answer lists every operation, and
 * needs a buffer of NL_FAMILY_MAX: the kernel makes it in a page. */
#define NL_FAMILY_MAX 4096
int nl_family(int fd, struct nl_buffer buffer, const char *name, const char *group_name,
	      uint32_t *group);
