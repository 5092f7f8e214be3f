#include "shim/connect/translation.h"
#include "shim/kernel/conntrack.h"
#include "shim/kernel/log.h"
#include "shim/nic/nic_sources.h"
#include "shim/process/machine.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdatomic.h>

#define PLACES 1024

static _Atomic bool any;
static _Atomic bool refused;           /* as it is to all who are not root */
static _Atomic uint64_t place[PLACES]; /* hash of a translated remote side; 0: none */

static uint64_t hash_of(const struct flow *flow)
{
	uint64_t hash = (uint64_t)flow->remote_port << 16 | flow->family;

	for (unsigned i = 0; i < 4; i++)
		hash = (hash ^ flow_address_word(flow->remote, i)) * UINT64_C(0x9e3779b97f4a7c15);
	hash ^= hash >> 32;
	return hash ? hash : 1;
}

static bool ask(const struct flow *flow)
{
	struct conntrack_tuple sent = {.from_port = flow->local_port, .to_port = flow->remote_port};

	memcpy(sent.from, flow->local, sizeof(sent.from));
	memcpy(sent.to, flow->remote, sizeof(sent.to));
	int answer = conntrack_translated(machine_sources()->proc, flow->family, &sent);
	if (answer == -EPERM || answer == -EACCES || answer == -EAFNOSUPPORT)
		refused = true;
	return answer == 1;
}

bool translation_explains(const struct flow *flow)
{
	char text[INET6_ADDRSTRLEN] = "?";
	int before = errno;

	if (translation_known(flow))
		return true;
	if (refused || !ask(flow))
		return false;
	atomic_store(&place[hash_of(flow) % PLACES], hash_of(flow));
	atomic_store(&any, true);
	inet_ntop(flow->family, flow->remote, text, sizeof(text));
	errno = before;
	log_once(LOG_LEVEL_WARN,
		 "connections to %s port %u get other addresses or ports on the way (SNAT or DNAT "
		 "of this host): no source port brings their replies home, such are left alone",
		 text, flow->remote_port);
	return true;
}

bool translation_known(const struct flow *flow)
{
	return atomic_load_explicit(&any, memory_order_relaxed) &&
	       place[hash_of(flow) % PLACES] == hash_of(flow);
}

void translation_forget(void)
{
	if (!any)
		return;
	atomic_store(&any, false);
	for (unsigned i = 0; i < PLACES; i++)
		atomic_store(&place[i], 0);
}
