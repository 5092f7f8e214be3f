/* Which CPU serves each queue: queue -> interrupt or NAPI thread -> CPU. */
#include "shim/kernel/netlink.h"
#include "shim/kernel/procfs.h"
#include "shim/kernel/sys.h"
#include "shim/nic/irq_name.h"
#include "shim/nic/nic_read.h"
#include "shim/nic/nic_work.h"
#include <errno.h>
#include <linux/genetlink.h>
#include <string.h>

/* linux/netdev.h, newer than the headers this must build with. */
enum { NETDEV_CMD_QUEUE_GET = 10, NETDEV_CMD_NAPI_GET = 11 };
enum { NETDEV_A_IFINDEX_OF_NAPI = 1, NETDEV_A_IFINDEX_OF_QUEUE = 2 };

static void on_queue(void *map, uint16_t type, const uint8_t *payload, size_t len)
{
	(void)type;
	queue_answer(map, payload, len);
}

static void on_napi(void *map, uint16_t type, const uint8_t *payload, size_t len)
{
	(void)type;
	napi_answer(map, payload, len);
}

static int netdev_dump(const struct nic_sources *sources, uint8_t command, uint16_t attribute,
		       uint32_t ifindex, nl_message_fn message, struct queue_map *map)
{
	struct genlmsghdr header = {.cmd = command, .version = 1};
	struct nic_work *work = sources->work;
	struct nl_request request;

	nl_request_init(&request, (uint16_t)sources->netdev_family, NLM_F_DUMP, &header,
			sizeof(header));
	nl_request_add_u32(&request, attribute, ifindex);
	return nl_exchange(sources->generic, &request,
			   (struct nl_buffer){work->answer, sizeof(work->answer)}, message, map);
}

static int queues_by_netlink(struct queue_map *map, uint32_t ifindex,
			     const struct nic_sources *sources)
{
	int error;

	if (sources->generic < 0 || sources->netdev_family < 0)
		return sources->generic < 0 ? sources->generic : sources->netdev_family;
	error = netdev_dump(sources, NETDEV_CMD_QUEUE_GET, NETDEV_A_IFINDEX_OF_QUEUE, ifindex,
			    on_queue, map);
	if (!error)
		error = netdev_dump(sources, NETDEV_CMD_NAPI_GET, NETDEV_A_IFINDEX_OF_NAPI, ifindex,
				    on_napi, map);
	return error;
}

/* Interrupts of one device while their names are being collected. */
struct irq_collection {
	struct irq_owner owner;
	struct queue_map *map;
	int32_t *half; /* RSS_QUEUES_MAX of IRQ_HALVES, in their order */
	unsigned halves;
	int32_t whole;
	int found; /* interrupts with a role */
};

static void side_set(struct queue_side *side, unsigned index, unsigned irq)
{
	if (index >= RSS_QUEUES_MAX || side->irq[index] >= 0)
		return;
	side->irq[index] = (int32_t)irq;
	if (index >= side->count)
		side->count = (uint16_t)(index + 1);
}

static void on_irq(void *context, unsigned irq, const char *name)
{
	struct irq_collection *all = context;
	unsigned index;
	enum irq_role role = irq_name_role(name, &all->owner, &index);

	if (role == IRQ_OTHER || irq > INT32_MAX)
		return;
	all->found++;
	if (role == IRQ_WHOLE) {
		if (all->whole < 0)
			all->whole = (int32_t)irq;
		return;
	}
	if (role == IRQ_HALVES) {
		if (index < RSS_QUEUES_MAX)
			all->half[index] = (int32_t)irq;
		if (index < RSS_QUEUES_MAX && index >= all->halves)
			all->halves = index + 1;
		return;
	}
	if (role != IRQ_TX)
		side_set(&all->map->rx, index, irq);
	if (role != IRQ_RX)
		side_set(&all->map->tx, index, irq);
}

/* tg3 and mlx4 count their queues from 1. */
static void side_from_zero(struct queue_side *side)
{
	if (!side->count || side->irq[0] >= 0 || side->irq[1] < 0)
		return;
	memmove(side->irq, side->irq + 1, sizeof(side->irq) - sizeof(side->irq[0]));
	side->irq[RSS_QUEUES_MAX - 1] = -1;
	side->count--;
}

static void collection_finish(struct irq_collection *all)
{
	struct queue_map *map = all->map;

	for (unsigned i = 0; i < all->halves; i++) {
		unsigned half = all->halves / 2;

		if (all->half[i] >= 0)
			side_set(i < half ? &map->tx : &map->rx, i < half ? i : i - half,
				 (unsigned)all->half[i]);
	}
	side_from_zero(&map->rx);
	side_from_zero(&map->tx);
	if (!map->rx.count && all->whole >= 0)
		for (unsigned i = 0; i < RSS_QUEUES_MAX; i++) {
			map->rx.irq[i] = all->whole;
			map->tx.irq[i] = all->whole;
		}
}

struct msi_walk {
	struct irq_collection *all;
	const struct nic_sources *sources;
};

static bool on_msi(void *context, const char *entry)
{
	struct msi_walk *walk = context;
	struct path path = path_of("kernel/irq/");
	char text[512];
	long irq;

	if (!number_parse(entry, strlen(entry), &irq) || irq < 0 || irq > INT32_MAX)
		return true;
	path_add_number(&path, (unsigned)irq);
	path_add(&path, "/actions");
	if (procfs_read_at(walk->sources->sys, &path, text, sizeof(text)) >= 0)
		irq_actions(text, (unsigned)irq, on_irq, walk->all);
	return true;
}

static struct path device_path(const struct nic_view *view, const char *below)
{
	struct path path = path_of("class/net/");

	path_add(&path, view->name);
	path_add(&path, below);
	return path;
}

/* The last part of where a symbolic link points to: a bus address. */
static void link_target(const struct nic_sources *sources, const struct path *path, char *name,
			size_t size)
{
	char target[256];
	long len = sources->sys < 0 ? sources->sys
				    : sys(SYS_readlinkat, sources->sys, path->text, target,
					  sizeof(target) - 1);
	const char *last;

	name[0] = '\0';
	if (len <= 0)
		return;
	target[len] = '\0';
	last = strrchr(target, '/');
	last = last ? last + 1 : target;
	if (strlen(last) < size)
		strcpy(name, last);
}

static int queues_by_name(struct queue_map *map, const struct nic_view *view,
			  const struct nic_sources *sources)
{
	char bus[64];
	struct irq_collection all = {.map = map, .half = sources->work->half, .whole = -1};
	struct msi_walk walk = {.all = &all, .sources = sources};
	struct irq_lines lines = {.found = on_irq, .context = &all};
	struct path device = device_path(view, "/device");
	/* virtio's own device has no interrupts, the PCI device above it has. */
	static const char *const below[] = {"/device/msi_irqs", "/device/../msi_irqs"};
	int error = -ENOENT;

	memset(all.half, -1, sizeof(sources->work->half));
	link_target(sources, &device, bus, sizeof(bus));
	all.owner = (struct irq_owner){.dev = view->name, .bus = bus, .all_of_device = true};
	for (size_t i = 0; error && i < sizeof(below) / sizeof(below[0]); i++) {
		struct path path = device_path(view, below[i]);

		error = procfs_list(sources->sys, &path, on_msi, &walk);
	}
	if (!all.found) {
		all.owner.all_of_device = false;
		error = procfs_feed(sources->proc, "interrupts", irq_lines_feed, &lines);
		irq_lines_end(&lines);
	}
	collection_finish(&all);
	return error ? error : all.found ? 0 : -ENOENT;
}

/* What tells where an interrupt or a thread runs. */
struct placement {
	const struct nic_sources *sources;
	cpu_set_t online;
};

static struct placement placement_of(const struct nic_sources *sources)
{
	struct path path = path_of("devices/system/cpu/online");
	struct placement placement = {.sources = sources};

	if (procfs_cpu_list(sources->sys, &path, &placement.online) < 0 ||
	    !CPU_COUNT(&placement.online))
		memset(&placement.online, 0xff, sizeof(placement.online));
	return placement;
}

/* An affinity of one CPU is the answer, even where the vector is still programmed for another one:
 * a move waits for the next interrupt where there is no interrupt remapping, and until then the
 * effective affinity is where packets will no longer arrive. Of several CPUs the kernel chose the
 * effective one, unless a move away from that is waiting. A CPU that was unplugged stays in the
 * affinity, while its interrupts are served elsewhere. */
static int cpu_of_irq(int32_t irq, const struct placement *placement)
{
	const struct nic_sources *sources = placement->sources;
	struct path path = path_of("irq/");
	cpu_set_t wanted;
	cpu_set_t effective;
	size_t stem;
	int cpu;

	path_add_number(&path, (unsigned)irq);
	stem = path.len;
	path_add(&path, "/smp_affinity_list");
	procfs_cpu_list(sources->proc, &path, &wanted);
	CPU_AND(&wanted, &wanted, &placement->online);
	cpu = cpu_set_single(&wanted);
	if (cpu >= 0)
		return cpu;
	path.len = stem;
	path_add(&path, "/effective_affinity_list"); /* not on every architecture */
	procfs_cpu_list(sources->proc, &path, &effective);
	cpu = cpu_set_single(&effective);
	return cpu >= 0 && (CPU_ISSET(cpu, &wanted) || !CPU_COUNT(&wanted)) ? cpu : -1;
}

/* A threaded NAPI runs where its thread may; the kernel's number of it is not ours in a container,
 * so its name is checked. */
static int cpu_of_thread(int32_t thread, const struct nic_sources *sources)
{
	struct path path = path_of("");
	cpu_set_t cpus;
	char name[32];

	path_add_number(&path, (unsigned)thread);
	path_add(&path, "/comm");
	CPU_ZERO(&cpus);
	if (procfs_read_at(sources->proc, &path, name, sizeof(name)) < 0 ||
	    strncmp(name, "napi/", 5) ||
	    sys(SYS_sched_getaffinity, thread, sizeof(cpus), &cpus) < 0)
		return -1;
	return cpu_set_single(&cpus);
}

static int queue_cpu(int32_t irq, int32_t thread, bool threaded, const struct placement *placement)
{
	if (thread > 0)
		return cpu_of_thread(thread, placement->sources);
	return threaded || irq < 0 ? -1 : cpu_of_irq(irq, placement);
}

static unsigned side_cpus(const struct queue_side *side, unsigned count, bool threaded,
			  const struct placement *placement, int16_t *cpus)
{
	unsigned known = 0;

	for (unsigned i = 0; i < count; i++) {
		int cpu = queue_cpu(side->irq[i], side->thread[i], threaded, placement);

		cpus[i] = (int16_t)cpu;
		known += cpu >= 0;
	}
	return known;
}

/* Hyper-V has no interrupt a queue: a channel has a CPU. The queue is the subchannel's number. */
struct channel_walk {
	struct nic_view *view;
	const struct nic_sources *sources;
	unsigned known;
};

static bool on_channel(void *context, const char *entry)
{
	struct channel_walk *walk = context;
	struct path path = device_path(walk->view, "/device/channels/");
	size_t stem;
	long queue;
	long cpu;

	path_add(&path, entry);
	stem = path.len;
	path_add(&path, "/subchannel_id");
	if (procfs_number(walk->sources->sys, &path, &queue))
		return true;
	path.len = stem;
	path_add(&path, "/cpu");
	if (procfs_number(walk->sources->sys, &path, &cpu) || queue < 0 ||
	    queue >= RSS_QUEUES_MAX || cpu < 0 || cpu >= CPU_SETSIZE)
		return true;
	walk->view->arrival.queue_cpu[queue] = (int16_t)cpu;
	walk->view->tx_cpu[queue] = (int16_t)cpu;
	walk->known++;
	return true;
}

static bool queues_by_channel(struct nic_view *view, const struct nic_sources *sources)
{
	struct channel_walk walk = {.view = view, .sources = sources};
	struct path path = device_path(view, "/device/channels");

	return !procfs_list(sources->sys, &path, on_channel, &walk) && walk.known;
}

/* Threaded NAPI moves the work from the interrupt's CPU to a kernel thread. */
static bool is_threaded(const struct nic_view *view, const struct nic_sources *sources)
{
	struct path path = device_path(view, "/threaded");
	long threaded;

	return !procfs_number(sources->sys, &path, &threaded) && threaded > 0;
}

static bool any_told(const struct queue_side *side)
{
	for (unsigned i = 0; i < side->count; i++)
		if (side->irq[i] >= 0 || side->thread[i] > 0)
			return true;
	return false;
}

/* Where neither an interrupt nor a thread is known, only nic_read_queues() may find one: that means
 * asking drivers, or reading all of /proc/interrupts. */
void nic_reread_queues(struct nic_view *view, const struct nic_view *before,
		       const struct nic_sources *sources)
{
	struct placement placement = placement_of(sources);
	struct nic_fact fact = before->fact[VALUE_QUEUE_CPU];
	int16_t *cpus = view->arrival.queue_cpu;
	bool known = false;

	view->threaded_napi = is_threaded(view, sources);
	memcpy(view->queue_irq, before->queue_irq, sizeof(view->queue_irq));
	memcpy(view->queue_thread, before->queue_thread, sizeof(view->queue_thread));
	memcpy(cpus, before->arrival.queue_cpu, sizeof(view->arrival.queue_cpu));
	if (fact.origin == ORIGIN_SYSFS)
		queues_by_channel(view, sources);
	for (unsigned i = 0; i < view->arrival.queue_count; i++) {
		int32_t irq = view->queue_irq[i], thread = view->queue_thread[i];

		if (irq >= 0 || thread > 0 || view->threaded_napi)
			cpus[i] = (int16_t)queue_cpu(irq, thread, view->threaded_napi, &placement);
		known |= cpus[i] >= 0;
	}
	view->fact[VALUE_QUEUE_CPU] = fact;
	if (!known)
		nic_unknown(view, VALUE_QUEUE_CPU, fact.error);
	else if (fact.origin == ORIGIN_UNKNOWN)
		nic_known(view, VALUE_QUEUE_CPU, ORIGIN_PROC);
}

void nic_read_queues(struct nic_view *view, const struct nic_sources *sources)
{
	struct placement placement = placement_of(sources);
	enum nic_origin origin = ORIGIN_NETLINK;
	struct queue_map *map = &sources->work->map;
	int error;

	queue_map_init(map);
	error = queues_by_netlink(map, view->ifindex, sources);
	if (!nic_knows(view, VALUE_QUEUES) && !error && map->rx.count) {
		view->arrival.queue_count = map->rx.count;
		view->tx_count = map->tx.count;
		nic_known(view, VALUE_QUEUES, ORIGIN_NETLINK);
	}
	view->threaded_napi = is_threaded(view, sources);
	if (error || !any_told(&map->rx)) {
		/* Most drivers do not tell netlink their interrupts. */
		error = queues_by_name(map, view, sources);
		origin = ORIGIN_PROC;
	}
	if (!view->arrival.queue_count)
		view->arrival.queue_count = map->rx.count;
	memcpy(view->queue_irq, map->rx.irq, sizeof(view->queue_irq));
	memcpy(view->queue_thread, map->rx.thread, sizeof(view->queue_thread));
	if (side_cpus(&map->rx, view->arrival.queue_count, view->threaded_napi, &placement,
		      view->arrival.queue_cpu))
		nic_known(view, VALUE_QUEUE_CPU, origin);
	else if (queues_by_channel(view, sources))
		nic_known(view, VALUE_QUEUE_CPU, ORIGIN_SYSFS);
	else
		nic_unknown(view, VALUE_QUEUE_CPU, error);
	if (sources->detail &&
	    side_cpus(&map->tx, view->tx_count, view->threaded_napi, &placement, view->tx_cpu))
		nic_known(view, VALUE_TX_CPU, origin);
}
