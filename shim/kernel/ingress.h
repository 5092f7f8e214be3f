/* The interface a connection came in by. */
#pragma once

/* Index of the interface whose packet completed the handshake of an accepted connection, as a
 * listening socket would see it: of a bond, bridge or VLAN the upper one. 0 where it is not known,
 * as of connections made from here; -errno. */
int ingress_of(int fd);
