#include "shim/kernel/ethtool.h"
#include "shim/kernel/procfs.h"
#include "shim/kernel/sys.h"
#include "shim/nic/nic_links.h"
#include "shim/nic/nic_read.h"
#include "shim/nic/nic_work.h"
#include "shim/policy/policy.h"
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

static void view_init(struct nic_view *view, const struct nic_link *link)
{
	memset(view, 0, sizeof(*view));
	memcpy(view->name, link->name, sizeof(view->name));
	view->ifindex = link->ifindex;
	view->kind = (enum nic_kind)link->kind;
	view->up = link->up;
	view->numa_node = -1;
	memset(view->arrival.queue_cpu, -1, sizeof(view->arrival.queue_cpu));
	memset(view->tx_cpu, -1, sizeof(view->tx_cpu));
	memset(view->xps_queue, -1, sizeof(view->xps_queue));
	memset(view->queue_irq, -1, sizeof(view->queue_irq));
	memset(view->queue_thread, -1, sizeof(view->queue_thread));
}

static struct path device_file(const struct nic_view *view, const char *file)
{
	struct path path = path_of("class/net/");

	path_add(&path, view->name);
	path_add(&path, file);
	return path;
}

/* A host of containers has many of these, and mostly nothing is to be said of them: they are looked
 * at no closer than that takes. */
static bool is_local_link(const struct nic_view *view)
{
	return view->kind == NIC_VETH || view->kind == NIC_TUN || view->kind == NIC_TUNNEL ||
	       view->kind == NIC_LOOPBACK;
}

/* /sys shows the namespace it was mounted in, which need not be that of our sockets. */
static int sysfs_has_index(const struct nic_view *view, const struct nic_sources *sources)
{
	struct path path = device_file(view, "/ifindex");
	long index;
	int error = procfs_number(sources->sys, &path, &index);

	if (error)
		return error;
	return index == (long)view->ifindex ? 0 : -EXDEV;
}

/* Names and small numbers repeat: two namespaces may each have an eth0 that is interface 2. */
static int sysfs_has_address(const struct nic_view *view, const struct nic_sources *sources)
{
	struct path path = device_file(view, "/address");
	struct ifreq request = {0};
	char text[64];
	char ours[18];

	memcpy(request.ifr_name, view->name, sizeof(request.ifr_name));
	if (sys(SYS_ioctl, sources->ioctl, SIOCGIFHWADDR, &request) < 0 ||
	    procfs_read_at(sources->sys, &path, text, sizeof(text)) < (int)sizeof(ours) - 1)
		return 0; /* nothing to compare: no Ethernet */
	for (int i = 0; i < 6; i++) {
		uint8_t byte = (uint8_t)request.ifr_hwaddr.sa_data[i];

		ours[3 * i] = "0123456789abcdef"[byte >> 4];
		ours[3 * i + 1] = "0123456789abcdef"[byte & 15];
		ours[3 * i + 2] = ':';
	}
	return memcmp(text, ours, sizeof(ours) - 1) ? -EXDEV : 0;
}

static void read_identity(struct nic_view *view, const struct nic_sources *sources)
{
	/* A virtio device has no node of its own, the PCI device above it has. */
	static const char *const node_file[] = {"/device/numa_node", "/device/../numa_node"};
	struct path path = device_file(view, "/device");
	char bus[32] = "";
	char target[8];
	long node;

	if (is_local_link(view) && !sources->detail)
		return;
	ethtool_driver(sources->ioctl, view->name, view->driver, sizeof(view->driver), bus,
		       sizeof(bus));
	if (view->kind == NIC_VIRTUAL)
		view->kind = link_kind(view->driver);
	if (view->kind == NIC_VIRTUAL &&
	    ((sources->sys >= 0 &&
	      sys(SYS_readlinkat, sources->sys, path.text, target, sizeof(target)) > 0) ||
	     (sources->sys < 0 && bus[0] && strcmp(bus, "N/A"))))
		view->kind = NIC_PHYSICAL;
	for (int i = 0; i < 2 && view->kind == NIC_PHYSICAL && view->numa_node < 0; i++) {
		path = device_file(view, node_file[i]);
		if (!procfs_number(sources->sys, &path, &node) && node <= INT16_MAX)
			view->numa_node = (int16_t)node;
	}
}

static void add_lower(struct nic_view *view, uint32_t ifindex)
{
	if (view->lower_count < NIC_LOWERS_MAX)
		view->lower[view->lower_count++] = ifindex;
}

struct lower_walk {
	struct nic_view *view;
	const struct nic_links *links;
};

static bool on_lower(void *context, const char *entry)
{
	struct lower_walk *walk = context;

	for (unsigned i = 0; !strncmp(entry, "lower_", 6) && i < walk->links->count; i++)
		if (!strcmp(walk->links->link[i].name, entry + 6))
			add_lower(walk->view, walk->links->link[i].ifindex);
	return true;
}

static void find_lowers(struct nic_view *view, const struct nic_link *link,
			const struct nic_links *links, const struct nic_sources *sources)
{
	struct lower_walk walk = {.view = view, .links = links};
	struct path path = device_file(view, "");

	/* The number below a veth is its peer's, which is beside it. */
	if (link->below && !link->elsewhere && view->kind != NIC_VETH)
		add_lower(view, link->below);
	if (link->active_member) {
		add_lower(view, link->active_member);
		view->active_backup = true;
	}
	for (unsigned i = 0; i < links->count; i++)
		if (links->link[i].master == view->ifindex &&
		    links->link[i].ifindex != link->active_member)
			add_lower(view, links->link[i].ifindex);
	/* Where netlink is forbidden the stacking is in /sys alone. */
	if (!view->lower_count && sources->route < 0 && view->kind != NIC_PHYSICAL)
		procfs_list(sources->sys, &path, on_lower, &walk);
}

/* What drivers are asked for, as they told it before. */
static void keep_answers(struct nic_view *view, const struct nic_view *before)
{
	static const enum nic_value asked[] = {VALUE_FUNCTION, VALUE_TRANSFORM, VALUE_FIELDS,
					       VALUE_KEY,      VALUE_TABLE,     VALUE_QUEUES,
					       VALUE_RULES,    VALUE_CONTEXTS};

	memcpy(view->driver, before->driver, sizeof(view->driver));
	view->numa_node = before->numa_node;
	view->arrival.hash = before->arrival.hash;
	view->arrival.table = before->arrival.table;
	view->arrival.queue_count = before->arrival.queue_count;
	view->tx_count = before->tx_count;
	view->rx_hash = before->rx_hash;
	view->ntuple = before->ntuple;
	view->flow_director = before->flow_director;
	view->doubtful = before->doubtful;
	view->rules = before->rules;
	view->contexts = before->contexts;
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++)
		view->fact[asked[i]] = before->fact[asked[i]];
}

/* Everything but the identity, which says what there is to read. `before`: what an earlier scan
 * found, and is still so as far as only drivers can tell; or NULL. */
static void read_rest(struct nic_view *view, const struct nic_view *before,
		      const struct policy *policy, const struct nic_sources *sources)
{
	if (before)
		keep_answers(view, before);
	if (view->kind == NIC_PHYSICAL && before) {
		nic_reread_queues(view, before, sources);
	} else if (view->kind == NIC_PHYSICAL) {
		nic_read_hash(view, sources);
		nic_read_queues(view, sources);
	}
	if (view->kind != NIC_LOOPBACK &&
	    (view->kind == NIC_PHYSICAL || !nic_stands_on_others(view)))
		nic_read_steering(view, sources);
	if (is_local_link(view) && view->arrival.rps.count) {
		int error = sysfs_has_address(view, sources);

		if (error) {
			view->arrival.rps.count = 0;
			nic_unknown(view, VALUE_RPS, error);
		}
	}
	nic_apply_policy(view, policy);
	nic_judge(view);
}

/* With /sys shut where it does not show this interface. */
static struct nic_sources sources_for(const struct nic_view *view, const struct nic_sources *all)
{
	struct nic_sources sources = *all;
	int error = sysfs_has_index(view, all);

	if (!error && !is_local_link(view))
		error = sysfs_has_address(view, all);
	if (error)
		sources.sys = error;
	return sources;
}

void nic_reread(struct nic_view *again, const struct nic_view *view, const struct policy *policy,
		const struct nic_sources *all_sources)
{
	struct nic_link link = {
		.ifindex = view->ifindex, .kind = (uint8_t)view->kind, .up = view->up};
	struct nic_sources sources = sources_for(view, all_sources);

	memcpy(link.name, view->name, sizeof(link.name));
	view_init(again, &link);
	again->active_backup = view->active_backup;
	again->lower_count = view->lower_count;
	memcpy(again->lower, view->lower, sizeof(again->lower));
	read_rest(again, view, policy, &sources);
}

/* Interfaces worth most first, in case there are more than NIC_MAX. */
static int rank(const struct nic_link *link, const struct policy *policy)
{
	if (policy && policy_nic(policy, link->name))
		return 0;
	switch (link->kind) {
	case NIC_LOOPBACK:
	case NIC_VETH:
	case NIC_TUNNEL:
	case NIC_TUN:
		return 2;
	default:
		return 1;
	}
}

static void scan_one(struct nic_view *view, const struct nic_links *links,
		     const struct nic_link *link, const struct policy *policy,
		     const struct nic_sources *all_sources)
{
	struct nic_sources sources;

	view_init(view, link);
	sources = sources_for(view, all_sources);
	read_identity(view, &sources);
	find_lowers(view, link, links, &sources);
	read_rest(view, NULL, policy, &sources);
}

void nic_scan_described(struct nic_set *out, const char *dev, const struct policy *policy)
{
	struct nic_link link = {.kind = NIC_VIRTUAL, .up = true};

	strncpy(link.name, dev, sizeof(link.name) - 1);
	out->count = 1;
	out->missed = 0;
	view_init(&out->view[0], &link);
	nic_apply_policy(&out->view[0], policy);
	nic_judge(&out->view[0]);
}

int nic_scan(struct nic_set *out, const struct policy *policy, const struct nic_sources *sources)
{
	struct nic_links *links = &sources->work->links;
	int found = nic_links_read(links, sources);

	out->count = 0;
	out->missed = 0;
	if (found < 0)
		return found;
	out->missed = links->missed;
	for (int wanted = 0; wanted <= 2; wanted++) {
		for (unsigned i = 0; i < links->count; i++) {
			const struct nic_link *link = &links->link[i];

			if (rank(link, policy) != wanted)
				continue;
			if (out->count == NIC_MAX) {
				out->missed++;
				continue;
			}
			scan_one(&out->view[out->count++], links, link, policy, sources);
		}
	}
	nic_stack_up(out, policy);
	return out->count;
}
