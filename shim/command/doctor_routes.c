/* What is between a socket and the NIC: source address translation, tunnels. */
#include "shim/command/doctor.h"
#include "shim/command/nic.h"
#include "shim/nic/conntrack_line.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* An address that can be bound is one of this host; others' connections are only routed here. */
static bool is_own_address(const struct conntrack_snat *snat)
{
	struct sockaddr_storage address = {.ss_family = (sa_family_t)snat->family};
	struct sockaddr_in *in = (void *)&address;
	struct sockaddr_in6 *in6 = (void *)&address;
	int fd = socket(snat->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool own = fd >= 0 &&
		   inet_pton(snat->family, snat->from,
			     snat->family == AF_INET6 ? (void *)&in6->sin6_addr
						      : (void *)&in->sin_addr) == 1 &&
		   bind(fd, (void *)&address,
			snat->family == AF_INET6 ? sizeof(*in6) : sizeof(*in)) == 0;

	if (fd >= 0)
		close(fd);
	return own;
}

static void check_snat(struct doctor *doctor)
{
	FILE *file = fopen("/proc/net/nf_conntrack", "r"); /* root's to read */
	struct conntrack_snat snat;
	char line[512];
	char what[256];

	while (file && fgets(line, sizeof(line), file)) {
		if (!conntrack_line_snat(line, &snat) || !is_own_address(&snat))
			continue;
		snprintf(what, sizeof(what),
			 "connections to %s leave as %s instead of %s (SNAT): the hash is of the "
			 "other address",
			 snat.remote, snat.to, snat.from);
		doctor_finding(doctor, FINDING_WARNING, what);
		doctor_mend("printf '[nic DEV]\\nhash = learn\\n' >> POLICY-FILE");
		break;
	}
	if (file)
		fclose(file);
}

/* RPS of the tunnel's own device spreads what the outer hash did not. */
static void check_tunnels(struct doctor *doctor)
{
	const struct nic_set *set = &doctor->known.nics;
	char mask[300];
	char what[128];

	for (unsigned i = 0; i < set->count; i++) {
		const struct nic_view *view = &set->view[i];

		if (!view->up || view->spreads || view->spreads_not != REASON_TUNNEL)
			continue;
		snprintf(what, sizeof(what), "%s: a tunnel: %s", view->name,
			 nic_reason_text(REASON_TUNNEL));
		doctor_finding(doctor, FINDING_WARNING, what);
		doctor_mend(
			"for f in /sys/class/net/%s/queues/rx-*/rps_cpus; do echo %s > $f; done",
			view->name, cpu_mask_text(&doctor->topology.online, mask, sizeof(mask)));
	}
}

/* The commands that make one NIC place flows as another does. */
static void mend_unlike(const struct nic_view *model, const struct nic_view *other)
{
	const struct rss_hash *hash = &model->arrival.hash;
	unsigned queues = table_is_equal(&model->arrival.table);
	char key[3 * RSS_KEY_MAX + 1] = "";

	for (int i = 0; i < hash->key_len; i++)
		snprintf(key + 3 * i, sizeof(key) - 3 * (size_t)i, "%02x:", hash->key[i]);
	if (key[0])
		key[3 * hash->key_len - 1] = '\0';
	if (key[0] && queues)
		doctor_mend("ethtool -X %s hkey %s equal %u", other->name, key, queues);
	for (unsigned i = 0; i < other->arrival.queue_count; i++)
		if (other->queue_irq[i] >= 0 && model->arrival.queue_cpu[i] >= 0)
			doctor_mend("echo %d > /proc/irq/%d/smp_affinity_list",
				    model->arrival.queue_cpu[i], other->queue_irq[i]);
}

static void check_lowers(struct doctor *doctor)
{
	const struct nic_set *set = &doctor->known.nics;
	char what[256];

	for (unsigned i = 0; i < set->count; i++) {
		const struct nic_view *view = &set->view[i];
		const struct nic_view *model = nic_by_index(set, view->lower[0]);

		if (!view->up || !model || view->predictable_not[FLOW_IPV4] != REASON_LOWERS_DIFFER)
			continue;
		snprintf(what, sizeof(what), "%s: %s", view->name,
			 nic_reason_text(REASON_LOWERS_DIFFER));
		doctor_finding(doctor, FINDING_PROBLEM, what);
		for (unsigned lower = 1; lower < view->lower_count; lower++) {
			const struct nic_view *other = nic_by_index(set, view->lower[lower]);

			if (other)
				mend_unlike(model, other);
		}
	}
}

void doctor_routes(struct doctor *doctor)
{
	check_snat(doctor);
	check_lowers(doctor);
	check_tunnels(doctor);
}
