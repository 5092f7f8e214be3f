#include "shim/command/listening.h"
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define STATE_LISTEN 0x0a

/* " 0: 0100007F:1F90 00000000:0000 0A ...": the address as words of the kernel's byte order. */
static bool is_line_of(const char *line, const struct stat_listener *listener)
{
	unsigned words = listener->family == AF_INET6 ? 4 : 1, port, state;
	uint32_t address[4] = {0};
	const char *at = strchr(line, ':');

	if (!at)
		return false;
	at += 1 + strspn(at + 1, " ");
	for (unsigned i = 0; i < words; i++, at += 8)
		if (sscanf(at, "%8x", &address[i]) != 1)
			return false;
	return sscanf(at, ":%x %*[0-9A-F]:%*x %x", &port, &state) == 2 && state == STATE_LISTEN &&
	       port == listener->port && !memcmp(address, listener->address, words * 4);
}

bool listener_is_open(pid_t pid, const struct stat_listener *listener)
{
	char path[64], line[256];
	bool found = false;

	snprintf(path, sizeof(path), "/proc/%d/net/tcp%s", pid,
		 listener->family == AF_INET6 ? "6" : "");
	FILE *file = fopen(path, "r");
	if (!file)
		return true;
	while (!found && fgets(line, sizeof(line), file))
		found = is_line_of(line, listener);
	fclose(file);
	return found;
}
