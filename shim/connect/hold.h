/* The source port of a connect() by bind(), for kernels before 6.3.
 *
 * A port that was bound is no longer given to anybody's connect() by the kernel itself, for any
 * destination, while its socket lives and in TIME_WAIT. So a process holds few of them: a sixteenth
 * of the range divided by the CPUs, counting what it closed within the last minute or two; beyond
 * that the kernel chooses as before. And it binds only ports that nobody uses, so that the
 * connect() that follows cannot meet a connection to the same destination. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* How many ports may be held, from a range of so many. Pure. */
unsigned hold_budget(unsigned ports, unsigned cpus);

/* Binds a socket without a port, to the address it is bound to already or to none, and notes it in
 * its word. 0; -EADDRINUSE: another port may do; -EDQUOT: no more are to be held now; another
 * -errno. Options read as before. */
int hold_port(int fd, uint16_t port, unsigned budget, uint64_t now_ms);

/* A socket with SOCKET_HELD is about to be closed. */
void hold_closing(void);

/* What an ancestor holds is not counted here. */
void hold_forked(void);
