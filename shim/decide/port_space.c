#include "shim/decide/port_space.h"

/* A port and the syndrome it makes. */
struct pair {
	uint16_t port;
	uint16_t syndrome;
};

static void table_fill(uint16_t (*table)[16], const uint16_t bit[16])
{
	for (unsigned nibble = 0; nibble < 4; nibble++) {
		table[nibble][0] = 0;
		for (unsigned value = 1; value < 16; value++) {
			unsigned low = (unsigned)__builtin_ctz(value);

			table[nibble][value] =
				table[nibble][value & (value - 1)] ^ bit[4 * nibble + low];
		}
	}
}

void port_space_init(struct port_space *space, const uint16_t column[16], unsigned bits)
{
	struct pair pivot[16] = {{0, 0}}; /* by the syndrome's bit; port 0: none */
	uint16_t kernel[16] = {0};
	uint16_t index[16] = {0};
	uint16_t solution[16] = {0};
	uint16_t remainder[16] = {0};
	uint16_t mask = (uint16_t)((1u << bits) - 1);
	unsigned free = 0;

	space->leading = 0;

	/* Port bits from low to high. A bit whose effect lower bits can undo leads a kernel vector;
	 * the other bits make up the solutions. So no solution and no other kernel vector contains
	 * a leading bit: the form is reduced without further work. */
	for (unsigned i = 0; i < 16; i++) {
		struct pair v = {(uint16_t)(1u << i), column[i] & mask};

		space->below[i] = (uint16_t)((1u << free) - 1);
		for (unsigned b = 0; b < bits; b++) {
			if (v.syndrome >> b & 1 && pivot[b].port) {
				v.port ^= pivot[b].port;
				v.syndrome ^= pivot[b].syndrome;
			}
		}
		if (v.syndrome == 0) {
			space->leading |= (uint16_t)(1u << i);
			index[i] = (uint16_t)(1u << free);
			kernel[free++] = v.port;
			continue;
		}
		unsigned own = (unsigned)__builtin_ctz(v.syndrome);

		for (unsigned b = 0; b < bits; b++) {
			if (pivot[b].port && pivot[b].syndrome >> own & 1) {
				pivot[b].port ^= v.port;
				pivot[b].syndrome ^= v.syndrome;
			}
		}
		pivot[own] = v;
	}
	space->below[16] = (uint16_t)((1u << free) - 1);
	space->free = (uint8_t)free;
	space->rank = (uint8_t)(16 - free);
	for (unsigned b = 0; b < bits; b++) {
		solution[b] = pivot[b].port;
		remainder[b] = (uint16_t)(1u << b) ^ pivot[b].syndrome;
	}
	table_fill(space->solution, solution);
	table_fill(space->remainder, remainder);
	table_fill(space->kernel, kernel);
	table_fill(space->index, index);
}

void port_interval_init(struct port_interval *interval, const struct port_space *space, uint16_t lo,
			uint16_t hi)
{
	interval->lo = lo;
	interval->hi = hi;
	interval->lo_index = port_space_lookup(space->index, lo);
	interval->lo_kernel = port_space_lookup(space->kernel, interval->lo_index);
	interval->most = 1u << space->free;
	/* In an aligned block of 2^m ports a syndrome has no port or one for each combination of
	 * the kernel vectors led by a bit below m. The tightest of these bounds is nearly exact. */
	for (unsigned m = 0; m <= 16; m++) {
		uint32_t blocks = (uint32_t)(hi >> m) - (uint32_t)(lo >> m) + 1;
		uint32_t most = blocks * (space->below[m] + 1u);

		if (most < interval->most)
			interval->most = most;
	}
}

uint32_t port_space_count(const struct port_space *space, const struct port_interval *interval,
			  uint16_t syndrome)
{
	uint16_t solution = port_space_lookup(space->solution, syndrome);
	uint32_t end = 1u << space->free;

	if (!port_space_reaches(space, syndrome))
		return 0;
	if (interval->hi < UINT16_MAX) {
		uint16_t after = interval->hi + 1;

		uint16_t index = port_space_lookup(space->index, after);
		uint16_t at = solution ^ port_space_lookup(space->kernel, index);

		end = port_space_first(space, at, after, index);
	}
	return end - port_space_first(space, solution ^ interval->lo_kernel, interval->lo,
				      interval->lo_index);
}
