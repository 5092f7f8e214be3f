/* The 16 bits of a local port seen through a hash that is affine in them.
 *
 * Each port bit that is set xors its column into the syndrome (the bits of the hash that decide),
 * so the ports with one syndrome are an affine space `solution ^ kernel[n]`. The kernel basis is
 * kept in reduced echelon form by leading bits: then the ports ascend with n, and those inside a
 * range of ports are one interval of n. Nothing here depends on addresses or on the remote port; a
 * flow only moves the syndrome by a constant. About 0.6 KB, whatever the number of queues.
 *
 * Where the columns come from (a key, or what was watched) is not asked. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define PORT_SPACE_BITS 16 /* longest syndrome */

struct port_space {
	uint8_t rank;              /* bits of the syndrome that ports can change independently */
	uint8_t free;              /* 16 - rank: a reachable syndrome has 2^free ports */
	uint16_t leading;          /* leading bits of the kernel basis */
	uint16_t below[17];        /* [m]: kernel vectors led by a bit below m, as a mask of n */
	uint16_t solution[4][16];  /* nibble of a syndrome -> smallest port that makes it */
	uint16_t remainder[4][16]; /* nibble of a syndrome -> what no port can make */
	uint16_t kernel[4][16];    /* nibble of n -> port bits */
	uint16_t index[4][16];     /* nibble of a port -> bits of n */
};

/* Part of the ports: [lo, hi], lo <= hi, and how many ports of one syndrome it has at most. */
struct port_interval {
	uint16_t lo, hi;
	uint16_t lo_index;  /* the n of lo, as its leading bits say */
	uint16_t lo_kernel; /* the port bits of that n */
	uint32_t most;
};

/* column[i] is what bit i of the port does to the syndrome, at most `bits` bits long. */
void port_space_init(struct port_space *space, const uint16_t column[16], unsigned bits);

void port_interval_init(struct port_interval *interval, const struct port_space *space, uint16_t lo,
			uint16_t hi);

static inline uint16_t port_space_lookup(const uint16_t (*table)[16], unsigned value)
{
	return table[0][value & 15] ^ table[1][value >> 4 & 15] ^ table[2][value >> 8 & 15] ^
	       table[3][value >> 12 & 15];
}

/* Whether any port makes this syndrome. */
static inline bool port_space_reaches(const struct port_space *space, uint16_t syndrome)
{
	return port_space_lookup(space->remainder, syndrome) == 0;
}

/* The first n whose port is at least `port`, where index is the n that agrees with `port` in the
 * leading bits and `at` is the port of that n. The highest bit in which the two differ is no
 * leading bit, so it is fixed by the leading bits above it, and decides how those below must be
 * chosen. */
static inline uint32_t port_space_first(const struct port_space *space, uint16_t at, uint16_t port,
					uint32_t index)
{
	unsigned differ = at ^ port;
	uint32_t below = space->below[31 - __builtin_clz(differ | 1)]; /* none where equal */

	return ((index & ~below) | (at < port ? below : 0)) + (at < port);
}

/* The nth port, from 0 and ascending, in the interval that makes the syndrome, which has to be one
 * that ports reach. False when there are no more than n. */
static inline bool port_space_nth(const struct port_space *space,
				  const struct port_interval *interval, uint16_t syndrome,
				  uint32_t nth, uint16_t *port)
{
	uint16_t solution = port_space_lookup(space->solution, syndrome);
	uint32_t n = nth + port_space_first(space, solution ^ interval->lo_kernel, interval->lo,
					    interval->lo_index);

	*port = solution ^ port_space_lookup(space->kernel, n);
	return n >> space->free == 0 && *port <= interval->hi;
}

/* How many ports in the interval make the syndrome. */
uint32_t port_space_count(const struct port_space *space, const struct port_interval *interval,
			  uint16_t syndrome);
