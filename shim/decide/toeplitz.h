/* The Toeplitz hash of RSS, with the key expanded so that a flow costs one look-up a nibble.
 *
 * The hash is linear over GF(2): the hash of an input is the xor of the hashes of its nibbles, each
 * of which depends on the key and the nibble's place alone. One table serves both families, since
 * the shorter input is a prefix. 4.6 KB a key. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define TOEPLITZ_WORDS 9 /* 32-bit words of the longest input: two IPv6 addresses, two ports */

struct toeplitz {
	uint8_t words; /* words of input that the key is long enough for; 0: no usable key */
	uint32_t nibble[8 * TOEPLITZ_WORDS][16];
};

/* A key of len bytes hashes inputs of at most len - 4 bytes: a window of 32 bits starts at each
 * input bit. What lies beyond is never read. */
void toeplitz_init(struct toeplitz *t, const uint8_t *key, size_t len);

/* What the index'th word of the input (its first byte in the top bits) adds to the hash. */
static inline uint32_t toeplitz_word(const struct toeplitz *t, unsigned index, uint32_t word)
{
	const uint32_t(*n)[16] = t->nibble + 8 * index;

	return n[0][word >> 28] ^ n[1][word >> 24 & 15] ^ n[2][word >> 20 & 15] ^
	       n[3][word >> 16 & 15] ^ n[4][word >> 12 & 15] ^ n[5][word >> 8 & 15] ^
	       n[6][word >> 4 & 15] ^ n[7][word & 15];
}

/* The same for a word whose low half is 0. */
static inline uint32_t toeplitz_high_half(const struct toeplitz *t, unsigned index, uint16_t half)
{
	const uint32_t(*n)[16] = t->nibble + 8 * index;

	return n[0][half >> 12] ^ n[1][half >> 8 & 15] ^ n[2][half >> 4 & 15] ^ n[3][half & 15];
}
