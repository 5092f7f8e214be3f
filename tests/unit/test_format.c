/* The small printf prints what the big one prints. */
#include "shim/kernel/format.h"
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define same(...)                                                          \
	do {                                                               \
		char ours[256], libc[256];                                 \
		size_t len = format_text(ours, sizeof(ours), __VA_ARGS__); \
		snprintf(libc, sizeof(libc), __VA_ARGS__);                 \
		cr_expect(eq(str, ours, libc));                            \
		cr_expect(eq(sz, len, strlen(libc)));                      \
	} while (0)

Test(format, as_libc)
{
	same("plain %% text");
	same("%s|%10s|%-10s|%.2s|%.*s|%5.1s", "abc", "abc", "abc", "abc", 1, "abc", "abc");
	same("%d %d %d %d", 0, -1, INT_MAX, INT_MIN);
	same("%5d|%-5d|%05d|%05d|%2d", 42, 42, 42, -42, 12345);
	same("%u %x %08x %8x", UINT_MAX, 0xdeadbeefu, 0xbeefu, 0xbeefu);
	same("%ld %lu %lx", LONG_MIN, ULONG_MAX, ULONG_MAX);
	same("%lld %llu %llx", LLONG_MIN, ULLONG_MAX, ULLONG_MAX);
	same("%zu %zd", (size_t)7, (ssize_t)-7);
	same("%c%c", 'a', 'b');
	same("%*d", 6, 42);
}

Test(format, cut_to_size)
{
	char out[8];

	memset(out, 'x', sizeof(out));
	cr_expect(eq(sz, format_text(out, 4, "%s%d", "ab", 12345), 3));
	cr_expect(eq(str, out, "ab1"));
	cr_expect(eq(chr, out[4], 'x'), "nothing behind the end");
	cr_expect(eq(sz, format_text(out, 1, "%s", "ab"), 0));
	cr_expect(eq(str, out, ""));
}

Test(format, no_string)
{
	char out[16];
	const char *volatile none = NULL;

	format_text(out, sizeof(out), "%s", none);
	cr_expect(eq(str, out, "(null)"));
}
