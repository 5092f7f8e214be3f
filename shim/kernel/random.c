#include "shim/kernel/random.h"
#include "shim/kernel/sys.h"
#include <stddef.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <time.h>

void random_secret(uint8_t secret[RANDOM_SECRET])
{
	/* Given by the kernel at each exec (AT_RANDOM); libc uses only part of them. */
	const void *at_exec = (const void *)(uintptr_t)getauxval(AT_RANDOM);
	uint64_t word[2] = {0};
	struct timespec now;

	if (sys(SYS_getrandom, secret, RANDOM_SECRET, GRND_NONBLOCK) == RANDOM_SECRET)
		return;
	if (at_exec)
		memcpy(word, at_exec, sizeof(word));
	clock_gettime(CLOCK_MONOTONIC, &now);
	word[0] ^= (uint64_t)now.tv_nsec << 34 ^ (uint64_t)now.tv_sec;
	word[1] += (uint64_t)sys(SYS_getpid) * UINT64_C(0x9e3779b97f4a7c15);
	memcpy(secret, word, sizeof(word));
}
