/* How a NIC spreads packets over its queues, as ethtool tells it. */
#include "shim/kernel/ethtool.h"
#include "shim/kernel/netlink.h"
#include "shim/kernel/procfs.h"
#include "shim/kernel/sys.h"
#include "shim/nic/nic_driver.h"
#include "shim/nic/nic_read.h"
#include "shim/nic/nic_work.h"
#include "shim/nic/rss_answer.h"
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/genetlink.h>
#include <string.h>
#include <sys/utsname.h>

/* Newer than the headers this must build with: Linux 6.2. */
#define ETHTOOL_CMD_RSS_GET    38
#define ETHTOOL_RSS_HEADER     1
#define ETHTOOL_HEADER_DEVNAME 2

static void read_queue_count(struct nic_view *view, const struct nic_sources *sources)
{
	uint32_t rx = 0;
	uint32_t tx = 0;
	int error = ethtool_channels(sources->ioctl, view->name, &rx, &tx);

	if (error || !rx)
		error = ethtool_rings(sources->ioctl, view->name, &rx);
	if (error || !rx) {
		nic_unknown(view, VALUE_QUEUES, error);
		return;
	}
	view->arrival.queue_count = (uint16_t)(rx < RSS_QUEUES_MAX ? rx : RSS_QUEUES_MAX);
	view->tx_count = (uint16_t)(tx < RSS_QUEUES_MAX ? tx : RSS_QUEUES_MAX);
	nic_known(view, VALUE_QUEUES, ORIGIN_IOCTL);
}

static void note_hash(struct nic_view *view, enum nic_origin origin, int error)
{
	const struct rss_hash *hash = &view->arrival.hash;

	nic_unknown(view, VALUE_FUNCTION, error);
	nic_unknown(view, VALUE_TRANSFORM, error);
	nic_unknown(view, VALUE_KEY, error);
	nic_unknown(view, VALUE_TABLE, error);
	if (hash->function != HASH_UNKNOWN) {
		nic_known(view, VALUE_FUNCTION, origin);
		nic_known(view, VALUE_TRANSFORM, origin);
	}
	if (hash->key_len)
		nic_known(view, VALUE_KEY, origin);
	if (view->arrival.table.size)
		nic_known(view, VALUE_TABLE, origin);
}

static void on_rss(void *context, uint16_t type, const uint8_t *payload, size_t len)
{
	struct rss_search *search = context;
	uint32_t number;

	(void)type;
	if (rss_parse_netlink(payload, len, &search->hash_of_one, &search->table_of_one, &number))
		return;
	if (number) {
		search->contexts++;
	} else {
		search->hash = search->hash_of_one;
		search->table = search->table_of_one;
		search->found = true;
	}
}

static int rss_by_netlink(const struct nic_view *view, const struct nic_sources *sources,
			  bool all_contexts)
{
	struct nic_work *work = sources->work;
	struct rss_search *search = &work->search;
	struct genlmsghdr header = {.cmd = ETHTOOL_CMD_RSS_GET, .version = 1};
	struct {
		struct nlattr attr;
		char name[IF_NAMESIZE];
	} dev = {.attr = {.nla_type = ETHTOOL_HEADER_DEVNAME}};
	struct nl_request request;
	int error;

	memset(search, 0, sizeof(*search));
	if (sources->generic < 0 || sources->ethtool_family < 0)
		return sources->generic < 0 ? sources->generic : sources->ethtool_family;
	memcpy(dev.name, view->name, sizeof(dev.name));
	dev.attr.nla_len = (uint16_t)(NLA_HDRLEN + strlen(view->name) + 1);
	nl_request_init(&request, (uint16_t)sources->ethtool_family, all_contexts ? NLM_F_DUMP : 0,
			&header, sizeof(header));
	nl_request_add(&request, ETHTOOL_RSS_HEADER | NLA_F_NESTED, &dev,
		       NLA_ALIGN(dev.attr.nla_len));
	error = nl_exchange(sources->generic, &request,
			    (struct nl_buffer){work->answer, sizeof(work->answer)}, on_rss, search);
	return error ? error : search->found ? 0 : -ENOENT;
}

static void read_contexts(struct nic_view *view, const struct nic_sources *sources)
{
	int error = rss_by_netlink(view, sources, true);

	if (error) {
		nic_unknown(view, VALUE_CONTEXTS, error);
		return;
	}
	view->contexts = sources->work->search.contexts;
	nic_known(view, VALUE_CONTEXTS, ORIGIN_NETLINK);
}

/* The ioctl is one system call, works before 6.2 and tells the transform as well (6.8); netlink is
 * for a process that is denied AF_INET sockets or ioctls. */
static void read_hash(struct nic_view *view, const struct nic_sources *sources)
{
	struct arrival *arrival = &view->arrival;
	struct nic_work *work = sources->work;
	size_t len;
	int error =
		ethtool_rss(sources->ioctl, view->name, work->answer, sizeof(work->answer), &len);

	if (!error)
		error = rss_parse_ioctl(work->answer, len, &arrival->hash, &arrival->table);
	note_hash(view, ORIGIN_IOCTL, error);
	if (error && error != -EOPNOTSUPP && !rss_by_netlink(view, sources, false)) {
		arrival->hash = work->search.hash;
		arrival->table = work->search.table;
		note_hash(view, ORIGIN_NETLINK, 0);
	}
	if (!arrival->table.size &&
	    !ethtool_table(sources->ioctl, view->name, work->answer, sizeof(work->answer),
			   arrival->table.queue, RSS_TABLE_MAX, &arrival->table.size) &&
	    arrival->table.size)
		nic_known(view, VALUE_TABLE, ORIGIN_IOCTL);
}

static void read_fields(struct nic_view *view, const struct nic_sources *sources)
{
	static const uint32_t flow_type[2] = {TCP_V4_FLOW, TCP_V6_FLOW};
	struct rss_hash *hash = &view->arrival.hash;

	nic_known(view, VALUE_FIELDS, ORIGIN_IOCTL);
	for (int i = 0; i < 2; i++) {
		uint64_t bits;
		int error = ethtool_hash_fields(sources->ioctl, view->name, flow_type[i], &bits);

		hash->fields[i] = rss_fields(bits);
		if (error == -EOPNOTSUPP || error == -EINVAL) {
			/* Drivers without a choice do not answer; all of them hash TCP ports. */
			hash->fields[i] = FIELDS_4_TUPLE;
			nic_known(view, VALUE_FIELDS, ORIGIN_DRIVER);
			view->doubtful = true;
		} else if (error) {
			nic_unknown(view, VALUE_FIELDS, error);
			return;
		}
	}
}

static void apply_driver(struct nic_view *view, const struct nic_sources *sources, bool ntuple)
{
	const struct nic_driver *driver = nic_driver(view->driver);
	struct rss_hash *hash = &view->arrival.hash;
	struct utsname kernel;
	int error;

	view->doubtful |= driver->doubtful;
	view->flow_director = driver->atr_without_ntuple && !ntuple;
	if (driver->atr_flag) {
		error = ethtool_private_flag(sources->ioctl, view->name, driver->atr_flag,
					     &view->flow_director);
		/* It is on unless somebody switched it off. */
		view->flow_director |= error && error != -ENOENT && error != -EOPNOTSUPP;
	}
	if (hash->function == HASH_UNKNOWN && hash->key_len) {
		/* A key is used by Toeplitz only. */
		hash->function = HASH_TOEPLITZ;
		nic_known(view, VALUE_FUNCTION, ORIGIN_DRIVER);
		nic_known(view, VALUE_TRANSFORM, ORIGIN_DRIVER);
		view->doubtful = true;
	}
	if (driver->transform != TRANSFORM_NONE && hash->function == HASH_TOEPLITZ &&
	    hash->transform == TRANSFORM_NONE && sys(SYS_uname, &kernel) == 0 &&
	    !nic_kernel_reports_or_xor(kernel.release)) {
		hash->transform = driver->transform;
		nic_known(view, VALUE_TRANSFORM, ORIGIN_DRIVER);
	}
}

/* Rules that match on a port outside the ephemeral range cannot concern an outgoing connection. */
static void read_rules(struct nic_view *view, const struct nic_sources *sources)
{
	char text[64];
	long low = 1;
	long high = UINT16_MAX;
	int len =
		procfs_read(sources->proc, "sys/net/ipv4/ip_local_port_range", text, sizeof(text));
	const char *tab = len > 0 ? strchr(text, '\t') : NULL;
	int error;

	if (!tab || !number_parse(text, (size_t)len, &low) ||
	    !number_parse(tab + 1, strlen(tab + 1), &high) || low < 1 || high > UINT16_MAX) {
		low = 1;
		high = UINT16_MAX;
	}
	error = ethtool_rules(sources->ioctl, view->name, (uint16_t)low, (uint16_t)high,
			      &view->rules);
	if (error)
		nic_unknown(view, VALUE_RULES, error);
	else
		nic_known(view, VALUE_RULES, ORIGIN_IOCTL);
}

void nic_read_hash(struct nic_view *view, const struct nic_sources *sources)
{
	bool ntuple = false;

	read_queue_count(view, sources);
	read_hash(view, sources);
	read_fields(view, sources);
	ethtool_flags(sources->ioctl, view->name, &view->rx_hash, &ntuple);
	view->ntuple = ntuple;
	apply_driver(view, sources, ntuple);
	read_rules(view, sources);
	if (sources->detail)
		read_contexts(view, sources);
}
