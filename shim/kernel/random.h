/* Bytes nobody outside the process can guess. */
#pragma once
#include <stdint.h>

#define RANDOM_SECRET 16

/* Another one at each call, and in each child of a fork. Never waits: where the kernel has none to
 * give, or may not be asked, it is made of those that came with exec. */
void random_secret(uint8_t secret[RANDOM_SECRET]);
