/* SipHash-1-3 over whole words: a hash that who does not know the secret can neither predict nor
 * make collide. The kernel hashes its own port choice with a member of the same family. */
#pragma once
#include <stddef.h>
#include <stdint.h>

uint64_t keyed_hash(const uint64_t secret[2], const uint64_t *words, size_t count);
