/* What an application points to is looked at before the kernel sees it. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* False of what leads nowhere for sure, as NULL and -1 do: the kernel is to refuse it. */
static inline bool may_point(const void *pointer)
{
	const uintptr_t first = 4096;

	return (uintptr_t)pointer - first < UINTPTR_MAX / 2 - first;
}
