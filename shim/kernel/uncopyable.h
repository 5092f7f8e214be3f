/* What an application can set on a socket that cannot be read back: keys of connections, IPsec
 * policies. A connection that came through a copy of the socket would lack it. */
#pragma once
#include <stdbool.h>

/* Whether a socket cannot be copied once this option was set on it. */
bool uncopyable_option(int level, int name);

/* Whether a listening socket of unknown history has keys. MD5 keys are shown only to holders of
 * CAP_NET_ADMIN; to others the socket seems to have none. Costs a dump over netlink. */
bool uncopyable_is(int fd);
