#include "shim/nic/conntrack_line.h"
#include <stddef.h>
#include <string.h>

/* The value of the next " name=" from *at on, which moves behind it. */
static bool take(const char **at, const char *name, char *value)
{
	const char *found = strstr(*at, name);
	size_t len;

	if (!found)
		return false;
	found += strlen(name);
	len = strcspn(found, " \n");
	if (!len || len >= INET6_ADDRSTRLEN)
		return false;
	memcpy(value, found, len);
	value[len] = '\0';
	*at = found + len;
	return true;
}

/* ipv4 2 tcp 6 431999 ESTABLISHED src=A dst=B sport=1 dport=2 src=B dst=A sport=2 dport=1 ...
 * The second tuple is the one of replies. */
bool conntrack_line_snat(const char *line, struct conntrack_snat *snat)
{
	char replying[INET6_ADDRSTRLEN];

	if (!strstr(line, " tcp "))
		return false;
	snat->family = strncmp(line, "ipv6", 4) ? AF_INET : AF_INET6;
	return take(&line, " src=", snat->from) && take(&line, " dst=", snat->remote) &&
	       take(&line, " src=", replying) && take(&line, " dst=", snat->to) &&
	       strcmp(snat->from, snat->to) != 0;
}
