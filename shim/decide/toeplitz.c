#include "shim/decide/toeplitz.h"
#include <string.h>

/* The 32 key bits that start at bit. */
static uint32_t window(const uint8_t *key, size_t len, unsigned bit)
{
	uint64_t bits = 0;

	for (unsigned i = 0; i < 5; i++)
		bits = bits << 8 | (bit / 8 + i < len ? key[bit / 8 + i] : 0);
	return (uint32_t)(bits >> (8 - bit % 8));
}

void toeplitz_init(struct toeplitz *t, const uint8_t *key, size_t len)
{
	size_t words = len >= 4 ? len / 4 - 1 : 0;

	memset(t, 0, sizeof(*t));
	t->words = (uint8_t)(words < TOEPLITZ_WORDS ? words : TOEPLITZ_WORDS);
	for (unsigned n = 0; n < 8u * t->words; n++) {
		t->nibble[n][0] = 0;
		for (unsigned value = 1; value < 16; value++) {
			unsigned low = value & -value; /* the nibble's first bit is its top one */
			unsigned bit = 4 * n + 3 - (unsigned)__builtin_ctz(low);

			t->nibble[n][value] = t->nibble[n][value ^ low] ^ window(key, len, bit);
		}
	}
}
