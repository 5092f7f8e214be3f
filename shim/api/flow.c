/* Questions about single connections. */
#include "shim/api/api.h"
#include "shim/api/view.h"
#include "shim/connect/destination.h"
#include "shim/kernel/procfs.h"
#include "shim/kernel/socket.h"
#include <errno.h>
#include <string.h>

API int rssshim_fd_cpu(int fd)
{
	int cpu = -1;
	socklen_t length = sizeof(cpu);
	int error = socket_get(fd, SOL_SOCKET, SO_INCOMING_CPU, &cpu, &length);

	if (error)
		return error;
	return cpu < 0 ? -EAGAIN : cpu;
}

static socklen_t address_length(const struct sockaddr *address)
{
	return address->sa_family == AF_INET ? sizeof(struct sockaddr_in)
					     : sizeof(struct sockaddr_in6);
}

static uint8_t address_family(const struct sockaddr *address)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;

	if (address->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
		return AF_INET;
	return (uint8_t)address->sa_family;
}

/* One that no NIC sees: as a source it stands for any, or for this host. */
static bool is_seen(const struct sockaddr *address)
{
	struct destination to;

	return destination_parse(address, address_length(address), &to);
}

static int read_flow(struct flow *flow, const struct sockaddr *remote, const struct sockaddr *local)
{
	struct destination to;

	if (!destination_parse(remote, address_length(remote), &to) || !is_seen(local) ||
	    address_family(local) != to.flow.family)
		return -EINVAL;
	*flow = to.flow;
	flow->local_port = destination_local(local, flow->local);
	return 0;
}

/* Whether the hash and the table decide where packets go, or leave no choice. */
static bool table_decides(const struct nic_view *nic, enum flow_family family)
{
	switch (nic->predictable_not[family]) {
	case REASON_NONE:
	case REASON_NO_PORTS:
		return true;
	case REASON_SINGLE_QUEUE:
	case REASON_ONE_CPU:
		return !nic->rfs;
	default:
		return false;
	}
}

static int cpu_of(const struct nic_view *nic, const struct flow *flow, struct arrival_place *place)
{
	*place = arrival_of(&nic->arrival, flow);
	if (!table_decides(nic, flow_family(flow)))
		return -ENODATA;
	if (place->cpu < 0 && nic->predictable_not[flow_family(flow)] == REASON_ONE_CPU)
		place->cpu = cpu_set_single(&nic->cpus);
	return place->cpu < 0 ? -ENODATA : place->cpu;
}

API int rssshim_flow_cpu(const struct rssshim *rss, const struct rssshim_flow *asked,
			 struct rssshim_place *out)
{
	struct arrival_place place;
	struct flow flow;
	uint32_t sequence;
	int cpu = read_flow(&flow, asked->remote, asked->local);

	if (cpu < 0)
		return cpu;
	do {
		sequence = atomic_load_explicit(&rss->sequence, memory_order_acquire);
		const struct view *view = &rss->view[sequence & 1];
		int nic = view_find(view, asked->nic);

		place = (struct arrival_place){.bucket = -1, .queue = -1, .cpu = -1};
		cpu = nic < 0 ? -ENODEV : cpu_of(&view->nics.view[nic], &flow, &place);
		atomic_thread_fence(memory_order_acquire);
	} while (atomic_load_explicit(&rss->sequence, memory_order_relaxed) != sequence);
	if (out)
		*out = (struct rssshim_place){.hashed = place.hashed,
					      .hash = place.hash,
					      .bucket = place.bucket,
					      .queue = place.queue,
					      .cpu = place.cpu};
	return cpu;
}

static int take_ports(const struct view *view, const struct port_set *set, uint32_t start,
		      uint16_t *ports, unsigned max)
{
	unsigned taken = 0;

	if (!set->positions)
		return 0;
	start %= set->positions;
	for (uint32_t i = 0; i < set->positions && taken < max; i++) {
		uint32_t position = start + i;
		uint16_t port = port_set_at(
			set, position < set->positions ? position : position - set->positions);

		if (port && !local_port_reserved(&view->local_ports, port))
			ports[taken++] = port;
	}
	return (int)taken;
}

static int find_ports(const struct view *view, int nic, const struct flow *flow, int cpu,
		      uint32_t start, uint16_t *ports, unsigned max)
{
	const struct arrival *arrival = &view->nics.view[nic].arrival;
	struct port_target target;
	struct port_range range;
	struct port_set set = {0};
	cpu_set_t cpus;

	if (!view->nics.view[nic].predictable[flow_family(flow)])
		return -ENODATA;
	if (!view->lo)
		return 0;
	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	port_target_init(&target, &view->ports[nic], &cpus);
	port_range_init(&range, &view->ports[nic], view->lo, view->hi);
	if (port_set_init(&set, arrival, &view->ports[nic], &target, &range, flow) ==
	    PORTS_HASH_UNKNOWN)
		return -ENODATA;
	return take_ports(view, &set, start, ports, max);
}

API int rssshim_ports(const struct rssshim *rss, const struct rssshim_flow *asked, int cpu,
		      uint32_t start, uint16_t *ports, unsigned max)
{
	struct flow flow;
	int found = read_flow(&flow, asked->remote, asked->local);

	if (found)
		return found;
	if (cpu < 0 || cpu >= CPU_SETSIZE)
		return -EINVAL;
	const struct view *view = view_begin(rss);
	int nic = view_find(view, asked->nic);

	found = nic < 0 ? -ENODEV : find_ports(view, nic, &flow, cpu, start, ports, max);
	view_end(rss);
	return found;
}

static void write_local(struct sockaddr_storage *local, sa_family_t family, const struct flow *flow,
			const uint8_t address[16])
{
	struct sockaddr_in *in = (struct sockaddr_in *)local;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)local;
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	memset(local, 0, sizeof(*local));
	local->ss_family = family;
	if (family == AF_INET) {
		memcpy(&in->sin_addr, address, 4);
	} else if (flow->family == AF_INET) {
		memcpy(in6->sin6_addr.s6_addr, mapped, 12);
		memcpy(in6->sin6_addr.s6_addr + 12, address, 4);
	} else {
		memcpy(&in6->sin6_addr, address, 16);
	}
}

API int rssshim_route(struct rssshim *rss, const struct sockaddr *remote,
		      struct sockaddr_storage *local, unsigned *nic)
{
	struct route_query query = {0};
	struct route_answer answer;
	struct destination to;
	static const uint8_t any[16];

	if (!destination_parse(remote, address_length(remote), &to))
		return -EINVAL;
	query.family = to.flow.family;
	query.bound_to = to.interface;
	query.remote_port = to.flow.remote_port;
	memcpy(query.remote, to.flow.remote, sizeof(query.remote));
	if (local->ss_family != AF_UNSPEC)
		destination_local((struct sockaddr *)local, query.local);
	int error = looking_begin(rss);
	if (error)
		return error;
	struct route_asker asker = {.netlink = rss->sources.route, .proc = rss->sources.proc};
	error = route_lookup(&asker, &query, &answer);
	looking_end(rss);
	if (error)
		return error;
	*nic = answer.is_local ? 0 : answer.ifindex;
	if (local->ss_family == AF_UNSPEC || !memcmp(query.local, any, sizeof(any)))
		write_local(local, remote->sa_family, &to.flow, answer.local);
	return 0;
}
