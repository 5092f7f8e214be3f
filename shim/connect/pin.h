/* How a socket is told which source port connect() is to take. Raw system calls. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* Whether this kernel lets a socket have a port range of its own (6.3; asked, not compared, as
 * distributions carry it back). spare: any socket of ours, for
 * when there is no descriptor left to ask with; or negative. */
bool pin_supported(int spare);

/* A range of one port: connect() then takes that port or fails with EADDRNOTAVAIL, and the port
 * stays shared between destinations, which an explicit bind() would end. 0 or -errno. */
int pin_port(int fd, uint16_t port);

/* No range: as a new socket. */
void pin_release(int fd);

/* A range the application gave the socket. */
bool pin_has_range(int fd);
