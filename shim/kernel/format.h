/* A printf that can be called anywhere: no locale, no allocation, no errno.
 *
 * glibc's snprintf is not async-signal-safe and may allocate; the log must work in a signal handler
 * and inside malloc. */
#pragma once
#include <stdarg.h>
#include <stddef.h>

/* Knows %s %c %d %u %x %% with the lengths l, ll and z, a width with an optional leading 0 or -,
 * and a precision for %s (also *). What it does not know is printed as it stands.
 * Cuts what does not fit in size bytes (at least 1), always ends with NUL.
 * Returns the length of what was stored. */
size_t format_text(char *out, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
size_t format_text_v(char *out, size_t size, const char *format, va_list args)
	__attribute__((format(printf, 3, 0)));
