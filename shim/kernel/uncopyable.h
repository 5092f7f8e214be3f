/* What an application can give a socket and nobody can read back: keys of connections, policies of
 * IPsec. A connection that comes by a copy of the socket would do without. */
#pragma once
#include <stdbool.h>

/* Whether setsockopt() of that leaves a socket which cannot be copied. */
bool uncopyable_option(int level, int name);

/* Whether a listening socket, of which nobody knows what was done to it, has keys. MD5 keys are
 * shown only to who has CAP_NET_ADMIN: to others it seems to have none. Costs a dump over netlink.
 */
bool uncopyable_is(int fd);
