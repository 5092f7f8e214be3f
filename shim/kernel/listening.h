/* The TCP sockets that listen in this network namespace, as inet_diag lists them. */
#pragma once
#include "shim/kernel/netlink.h"
#include <linux/inet_diag.h>

/* One of them, with what the kernel tells of it beyond the fixed part. */
typedef void (*listening_fn)(void *context, const struct inet_diag_msg *socket,
			     struct nl_attrs attrs);

/* Reads the payload of an answer. Pure; the bytes may be damaged, then it may return false. */
bool listening_parse(const uint8_t *payload, size_t length, struct inet_diag_msg *socket,
		     struct nl_attrs *attrs);

/* Calls visit for each of a family; info: with what only comes with INET_DIAG_INFO. Costs a dump
 * over netlink. Of one thread at a time. Returns 0, or -errno where the kernel does not tell. */
int listening_each(int family, bool info, listening_fn visit, void *context);
