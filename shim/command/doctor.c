#include "shim/command/doctor.h"
#include "shim/command/verbs.h"
#include "shim/nic/nic_sources.h"
#include <getopt.h>
#include <stdio.h>

#define PORTS_A_CPU 1024 /* fewer for one destination are soon used up by TIME_WAIT */

/* As many numbers as a file of /proc/sys is asked for. */
static bool read_numbers(const char *path, unsigned *number, int count)
{
	FILE *file = fopen(path, "r");
	int found = 0;

	while (file && found < count && fscanf(file, "%u", number + found) == 1)
		found++;
	if (file)
		fclose(file);
	return found == count;
}

static void check_ports(struct doctor *doctor, const cpu_set_t *receiving)
{
	const struct policy_range *range = &doctor->known.policy.connect_range;
	unsigned cpus = (unsigned)CPU_COUNT(receiving);
	unsigned ends[2] = {range->low, range->high};
	unsigned each;
	char what[160];

	if (!ends[0] && !read_numbers("/proc/sys/net/ipv4/ip_local_port_range", ends, 2))
		return;
	each = cpus < 2 || ends[1] < ends[0] ? PORTS_A_CPU : (ends[1] - ends[0] + 1) / cpus;
	if (each >= PORTS_A_CPU)
		return;
	snprintf(what, sizeof(what),
		 "source ports %u-%u leave %u for each destination and each of %u CPUs", ends[0],
		 ends[1], each, cpus);
	doctor_finding(doctor, FINDING_WARNING, what);
	if (range->low)
		doctor_mend("a wider [connect] range in %s", doctor->known.policy.file.text);
	else
		doctor_mend("sysctl -w net.ipv4.ip_local_port_range='1024 65535'");
}

/* Without it the connections in a closed member's queue are reset. */
static void check_migration(struct doctor *doctor)
{
	unsigned on;

	if (!read_numbers("/proc/sys/net/ipv4/tcp_migrate_req", &on, 1) || on)
		return;
	doctor_finding(
		doctor, FINDING_WARNING,
		"net.ipv4.tcp_migrate_req is off: connections that wait at a socket are reset "
		"when it is closed");
	doctor_mend("sysctl -w net.ipv4.tcp_migrate_req=1");
}

static bool comes_in_by(const struct nic_view *view)
{
	return view->up && (view->kind == NIC_PHYSICAL || view->spreads);
}

/* A container: a link to somewhere, and nothing that has queues. */
static void check_container(struct doctor *doctor)
{
	const struct nic_set *set = &doctor->known.nics;
	const struct nic_view *link = NULL;
	char what[160];

	for (unsigned i = 0; i < set->count; i++) {
		const struct nic_view *view = &set->view[i];

		if (comes_in_by(view) || view->learn)
			return;
		if (!link && view->up && view->kind != NIC_LOOPBACK)
			link = view;
	}
	if (!link) {
		doctor_finding(doctor, FINDING_PROBLEM,
			       "no network interface is up but loopback: packets of clients on "
			       "this host arrive on the CPU of the sender");
		doctor_mend("rssshim doctor # in the network namespace of the server");
		return;
	}
	snprintf(what, sizeof(what),
		 "no network card is in view, only %s (%s): RSS is outside this network namespace",
		 link->name, nic_kind_name(link->kind));
	doctor_finding(doctor, FINDING_PROBLEM, what);
	doctor_mend("printf '[nic %s]\\nhash = learn\\n' >> POLICY-FILE", link->name);
}

static int diagnose(struct doctor *doctor)
{
	const struct nic_set *set = &doctor->known.nics;
	struct nic_sources sources;
	uint32_t spreading[NIC_MAX];
	cpu_set_t receiving;

	nic_sources_open(&sources, NULL, false);
	topology_read(&doctor->topology, sources.sys);
	nic_sources_close(&sources);
	if (CPU_COUNT(&doctor->topology.online) < 2) {
		puts("one CPU: there is nothing to align");
		return 0;
	}
	nic_spreading(set, spreading, NIC_MAX, &receiving);
	check_container(doctor);
	for (unsigned i = 0; i < set->count; i++)
		if (comes_in_by(&set->view[i]) && !nic_stands_on_others(&set->view[i]))
			doctor_nic(doctor, &set->view[i]);
	doctor_routes(doctor);
	doctor_processes(doctor, &receiving);
	check_ports(doctor, &receiving);
	check_migration(doctor);
	if (!doctor->problems && !doctor->warnings)
		puts("nothing works against alignment");
	return doctor->problems ? 2 : doctor->warnings ? 1 : 0;
}

int verb_doctor(int argc, char **argv)
{
	static const struct option options[] = {{"conf", required_argument, NULL, 'c'}, {0}};
	static struct doctor doctor; /* 700 KB */
	const char *conf = NULL;
	char why[256];
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option != 'c')
			return verb_usage("doctor");
		conf = optarg;
	}
	if (optind != argc)
		return verb_unexpected("doctor", argv[optind]);
	if (nic_knowledge_load(&doctor.known, conf, true, why, sizeof(why))) {
		fprintf(stderr, "rssshim doctor: %s\n", why);
		return 2;
	}
	return diagnose(&doctor);
}
