#include "shim/kernel/format.h"
#include "shim/kernel/socket.h"
#include "shim/stat/stat.h"
#include <netinet/in.h>
#include <string.h>

static bool is_entry_of(const struct stat_listener *entry, const struct stat_listener *wanted)
{
	return entry->state == STAT_LISTENER_SET && entry->family == wanted->family &&
	       entry->port == wanted->port &&
	       !memcmp(entry->address, wanted->address, sizeof(entry->address));
}

static struct stat_listener *entry_for(struct stat_memory *memory,
				       const struct stat_listener *wanted)
{
	for (int i = 0; i < STAT_LISTENERS_MAX; i++) {
		struct stat_listener *entry = &memory->listener[i];
		uint32_t none = STAT_LISTENER_FREE;
		if (is_entry_of(entry, wanted) ||
		    atomic_compare_exchange_strong(&entry->state, &none, STAT_LISTENER_CLAIMED))
			return entry;
	}
	return NULL;
}

void stat_listener(const struct socket_address *address, unsigned members, const char *how)
{
	struct stat_memory *memory = stat_shared;
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)&address->storage;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address->storage;
	struct stat_listener wanted = {.family = address->any.sa_family,
				       .port = socket_port(address)};

	stat_count(members ? STAT_LISTEN_STEERED : STAT_LISTEN_UNSTEERED);
	if (wanted.family == AF_INET6)
		memcpy(wanted.address, &in6->sin6_addr, sizeof(in6->sin6_addr));
	else
		memcpy(wanted.address, &in4->sin_addr, sizeof(in4->sin_addr));
	struct stat_listener *entry = memory ? entry_for(memory, &wanted) : NULL;
	if (!entry)
		return;
	entry->family = wanted.family;
	entry->port = wanted.port;
	memcpy(entry->address, wanted.address, sizeof(entry->address));
	format_text(entry->reason, sizeof(entry->reason), "%s", how);
	entry->members = members;
	entry->state = STAT_LISTENER_SET;
}
