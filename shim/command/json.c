#include "shim/command/json.h"
#include <inttypes.h>
#include <stdio.h>

static bool comma; /* something stands before on this level */

static void quoted(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

static void begin(const char *key)
{
	if (comma)
		fputs(", ", stdout);
	comma = true;
	if (key) {
		quoted(key);
		fputs(": ", stdout);
	}
}

void json_open(const char *key, char bracket)
{
	begin(key);
	putchar(bracket);
	comma = false;
}

void json_close(char bracket)
{
	putchar(bracket);
	comma = true;
}

void json_number(const char *key, uint64_t value)
{
	begin(key);
	printf("%" PRIu64, value);
}

void json_known(const char *key, long value)
{
	begin(key);
	if (value < 0)
		fputs("null", stdout);
	else
		printf("%ld", value);
}

void json_tenths(const char *key, unsigned value)
{
	begin(key);
	printf("%u.%u", value / 10, value % 10);
}

void json_share(const char *key, uint64_t part, uint64_t whole)
{
	begin(key);
	printf("%.4f", (double)part / (double)whole);
}

void json_bool(const char *key, bool value)
{
	begin(key);
	fputs(value ? "true" : "false", stdout);
}

void json_string(const char *key, const char *value)
{
	begin(key);
	quoted(value);
}

void json_end(void)
{
	putchar('\n');
	comma = false;
}
