#include "shim/command/flow_text.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct endpoint {
	uint8_t family;
	uint8_t address[16];
	uint16_t port;
};

static bool parse_port(const char *text, uint16_t *port)
{
	unsigned long value = 0;

	if (!*text || strlen(text) > 5)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		value = 10 * value + (unsigned long)(*text - '0');
	}
	*port = (uint16_t)value;
	return value <= UINT16_MAX;
}

static bool parse_address(struct endpoint *end, const char *text)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (inet_pton(AF_INET, text, end->address) == 1) {
		end->family = AF_INET;
		return true;
	}
	if (inet_pton(AF_INET6, text, end->address) != 1)
		return false;
	end->family = AF_INET6;
	if (memcmp(end->address, mapped, sizeof(mapped)) == 0) {
		end->family = AF_INET;
		memmove(end->address, end->address + 12, 4);
	}
	return true;
}

/* Splits off the port. An IPv6 address with a port needs brackets; alone it may have them. */
static bool parse_endpoint(struct endpoint *end, const char *text, bool with_port)
{
	char copy[INET6_ADDRSTRLEN + 16];
	char *address = copy, *port = NULL;

	if (strlen(text) >= sizeof(copy))
		return false;
	strcpy(copy, text);
	if (*copy == '[') {
		char *close = strchr(copy, ']');

		if (!close || (close[1] && close[1] != ':'))
			return false;
		address = copy + 1;
		port = close[1] ? close + 2 : NULL;
		*close = '\0';
	} else if (with_port) {
		port = strrchr(copy, ':');
		if (port)
			*port++ = '\0';
		if (strchr(copy, ':'))
			return false;
	}
	if (with_port != (port != NULL) || (port && !parse_port(port, &end->port)))
		return false;
	return parse_address(end, address);
}

const char *flow_parse(struct flow *flow, const char *remote, const char *local, bool local_port)
{
	static char why[256];
	struct endpoint from = {0}, to = {0};
	const char *bad = NULL;

	if (!parse_endpoint(&from, remote, true))
		bad = remote;
	else if (!parse_endpoint(&to, local, local_port))
		bad = local;
	if (bad) {
		snprintf(why, sizeof(why), "%.80s: not %s", bad,
			 bad == local && !local_port ? "an address (192.0.2.1 or 2001:db8::1)"
						     : "an address and port (192.0.2.1:80 or "
						       "[2001:db8::1]:80)");
		return why;
	}
	if (from.family != to.family) {
		snprintf(why, sizeof(why), "%.80s and %.80s: both must be IPv4, or both IPv6",
			 remote, local);
		return why;
	}
	flow->family = from.family;
	memcpy(flow->remote, from.address, 16);
	memcpy(flow->local, to.address, 16);
	flow->remote_port = from.port;
	flow->local_port = to.port;
	return NULL;
}
