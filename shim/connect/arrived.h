/* Accepted connections teach where flows arrive, as those that are made do (witness.h). */
#pragma once

/* A connection was accepted from the outside, or from this host. A load or two where there is
 * nothing to learn, or everything is known; else some system calls, for one connection of many. */
void arrived(int fd);
