/* The ports this network namespace hands out by itself. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct local_ports {
	uint16_t lo, hi; /* lo <= hi */
	uint64_t reserved[65536 / 64];
};

static inline bool local_port_reserved(const struct local_ports *ports, uint16_t port)
{
	return ports->reserved[port / 64] >> port % 64 & 1;
}

/* Another one, but for chance, where other ports are reserved; 0 where none is. */
uint64_t local_ports_fingerprint(const struct local_ports *ports);

/* "32768\t60999\n". False where it is something else. Pure. */
bool local_range_parse(const char *text, size_t len, uint16_t *lo, uint16_t *hi);

/* "8080,9148-9150\n" in pieces, the file can be long. Pure. */
struct reserved_parser {
	uint64_t *bits; /* 65536 of them, zeroed */
	uint32_t number, first;
	bool digits, is_range;
};
void reserved_feed(void *parser, const char *text, size_t len);
void reserved_end(struct reserved_parser *parser);

/* Reads both through a descriptor of /proc, which shows the caller's network namespace. What cannot
 * be read is the kernel's default: 32768 to 60999, none reserved. */
void local_ports_read(struct local_ports *ports, int proc);
