#include "shim/connect/local_ports.h"
#include "shim/kernel/procfs.h"
#include <string.h>

#define DEFAULT_LO 32768
#define DEFAULT_HI 60999

static bool number_take(const char **at, const char *end, uint32_t *value)
{
	const char *start = *at;

	*value = 0;
	while (*at < end && **at >= '0' && **at <= '9' && *value < 100000)
		*value = *value * 10 + (uint32_t)(*(*at)++ - '0');
	return *at > start && *value <= 65535;
}

static void blanks_skip(const char **at, const char *end)
{
	while (*at < end && (**at == ' ' || **at == '\t' || **at == '\n'))
		(*at)++;
}

bool local_range_parse(const char *text, size_t len, uint16_t *lo, uint16_t *hi)
{
	const char *end = text + len;
	uint32_t low, high;

	blanks_skip(&text, end);
	if (!number_take(&text, end, &low))
		return false;
	blanks_skip(&text, end);
	if (!number_take(&text, end, &high))
		return false;
	blanks_skip(&text, end);
	if (text != end || low == 0 || low > high)
		return false;
	*lo = (uint16_t)low;
	*hi = (uint16_t)high;
	return true;
}

uint64_t local_ports_fingerprint(const struct local_ports *ports)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < 65536 / 64; i++)
		if (ports->reserved[i])
			sum = (sum ^ ports->reserved[i] ^ i) * UINT64_C(0x9e3779b97f4a7c15) ^
			      sum >> 29;
	return sum;
}

void reserved_end(struct reserved_parser *parser)
{
	uint32_t first = parser->is_range ? parser->first : parser->number;

	if (parser->digits && parser->number <= 65535)
		for (uint32_t port = first; port <= parser->number; port++)
			parser->bits[port / 64] |= UINT64_C(1) << port % 64;
	parser->number = 0;
	parser->digits = parser->is_range = false;
}

void reserved_feed(void *context, const char *text, size_t len)
{
	struct reserved_parser *parser = context;

	for (size_t i = 0; i < len; i++) {
		if (text[i] >= '0' && text[i] <= '9') {
			if (parser->number < 100000)
				parser->number = parser->number * 10 + (uint32_t)(text[i] - '0');
			parser->digits = true;
		} else if (text[i] == '-') {
			parser->first = parser->number;
			parser->number = 0;
			parser->digits = false;
			parser->is_range = true;
		} else {
			reserved_end(parser);
		}
	}
}

void local_ports_read(struct local_ports *ports, int proc)
{
	struct reserved_parser parser = {.bits = ports->reserved};
	char text[64];
	int len = procfs_read(proc, "sys/net/ipv4/ip_local_port_range", text, sizeof(text));

	memset(ports, 0, sizeof(*ports));
	if (len < 0 || !local_range_parse(text, (size_t)len, &ports->lo, &ports->hi)) {
		ports->lo = DEFAULT_LO;
		ports->hi = DEFAULT_HI;
	}
	procfs_feed(proc, "sys/net/ipv4/ip_local_reserved_ports", reserved_feed, &parser);
	reserved_end(&parser);
}
