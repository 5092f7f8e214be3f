/* What is wrong with one interface. */
#include "shim/command/doctor.h"
#include "shim/command/nic.h"
#include "shim/decide/ports.h"
#include "shim/kernel/ethtool.h"
#include "shim/kernel/procfs.h"
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static void found(struct doctor *doctor, enum severity severity, const struct nic_view *view,
		  const char *what, ...) __attribute__((format(printf, 4, 5)));

static void found(struct doctor *doctor, enum severity severity, const struct nic_view *view,
		  const char *what, ...)
{
	char text[256];
	char line[300];
	va_list args;

	va_start(args, what);
	vsnprintf(text, sizeof(text), what, args);
	va_end(args);
	snprintf(line, sizeof(line), "%s: %s", view->name, text);
	doctor_finding(doctor, severity, line);
}

static unsigned channels_possible(const struct nic_view *view)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint32_t most = 0;

	if (fd >= 0) {
		ethtool_channels_possible(fd, view->name, &most);
		close(fd);
	}
	return most;
}

static void check_single_queue(struct doctor *doctor, const struct nic_view *view)
{
	unsigned cpus = (unsigned)CPU_COUNT(&doctor->topology.online);
	unsigned most = channels_possible(view);
	char mask[300];

	found(doctor, FINDING_PROBLEM, view, "%s", nic_reason_text(REASON_SINGLE_QUEUE));
	if (most > 1) {
		doctor_mend("ethtool -L %s combined %u", view->name, most < cpus ? most : cpus);
		return;
	}
	doctor_mend("echo %s > /sys/class/net/%s/queues/rx-0/rps_cpus",
		    cpu_mask_text(&doctor->topology.online, mask, sizeof(mask)), view->name);
}

static void check_one_cpu(struct doctor *doctor, const struct nic_view *view)
{
	int cpu = -1;

	found(doctor, FINDING_PROBLEM, view, "%s", nic_reason_text(REASON_ONE_CPU));
	for (unsigned i = 0; i < view->arrival.queue_count; i++) {
		cpu = cpu_set_next(&doctor->topology.online, cpu + 1);
		if (cpu < 0)
			cpu = cpu_set_next(&doctor->topology.online, 0);
		if (view->queue_irq[i] >= 0)
			doctor_mend("echo %d > /proc/irq/%d/smp_affinity_list", cpu,
				    view->queue_irq[i]);
	}
}

static void check_rps(struct doctor *doctor, const struct nic_view *view)
{
	bool own_hash = view->arrival.rps.unknown && !view->rps_differs;

	if (view->arrival.rps.count < 2 || !view->multi_queue)
		return;
	found(doctor, own_hash || view->rps_differs ? FINDING_PROBLEM : FINDING_WARNING, view,
	      "RPS moves packets on after RSS has spread them%s",
	      own_hash ? ", by a hash of the kernel's own" : "");
	doctor_mend("for f in /sys/class/net/%s/queues/rx-*/rps_cpus; do echo 0 > $f; done",
		    view->name);
}

static void check_fields(struct doctor *doctor, const struct nic_view *view)
{
	static const char *const flow_type[FLOW_FAMILIES] = {"tcp4", "tcp6"};

	for (int family = 0; family < FLOW_FAMILIES; family++) {
		enum nic_reason reason = view->predictable_not[family];

		if (reason != REASON_NO_PORTS && reason != REASON_FIELDS)
			continue;
		found(doctor, FINDING_PROBLEM, view, "%s: %s", flow_type[family],
		      nic_reason_text(reason));
		doctor_mend("ethtool -N %s rx-flow-hash %s sdfn", view->name, flow_type[family]);
	}
}

/* Replies to what another CPU sent make their completions and locks travel. */
static void check_xps(struct doctor *doctor, const struct nic_view *view)
{
	char what[64] = "";
	unsigned wrong = 0;

	for (int cpu = cpu_set_next(&view->cpus, 0); cpu >= 0;
	     cpu = cpu_set_next(&view->cpus, cpu + 1)) {
		int queue = view->xps_queue[cpu];

		if (queue < 0 || view->tx_cpu[queue] < 0 || view->tx_cpu[queue] == cpu)
			continue;
		if (!wrong++)
			snprintf(what, sizeof(what), "CPU %d sends on queue %d of CPU %d", cpu,
				 queue, view->tx_cpu[queue]);
	}
	if (!wrong)
		return;
	found(doctor, FINDING_WARNING, view, "XPS: %s%s", what, wrong > 1 ? ", and others" : "");
	for (unsigned queue = 0; queue < view->tx_count; queue++) {
		char mask[300];
		cpu_set_t one;

		if (view->tx_cpu[queue] < 0)
			continue;
		CPU_ZERO(&one);
		CPU_SET(view->tx_cpu[queue], &one);
		doctor_mend("echo %s > /sys/class/net/%s/queues/tx-%u/xps_cpus",
			    cpu_mask_text(&one, mask, sizeof(mask)), view->name, queue);
	}
}

static void check_key(struct doctor *doctor, const struct nic_view *view)
{
	static struct ports ports;

	if (!view->predictable[0] || view->arrival.hash.transform == TRANSFORM_SYMMETRIC_OR_XOR)
		return;
	ports_init(&ports, &view->arrival);
	for (int family = 0; family < FLOW_FAMILIES; family++) {
		if (!view->predictable[family] || ports.space[family].rank >= ports.classes.bits)
			continue;
		found(doctor, FINDING_WARNING, view,
		      "with this key a source port changes %u of the %u hash bits that choose the "
		      "queue: some CPUs cannot be reached",
		      ports.space[family].rank, ports.classes.bits);
		doctor_mend("ethtool -X %s hkey $(head -c %u /dev/urandom | od -An -v -tx1 | "
			    "tr -d '\\n' | sed 's/^ //; s/ /:/g')",
			    view->name, view->arrival.hash.key_len);
		return;
	}
}

static void check_told(struct doctor *doctor, const struct nic_view *view)
{
	switch (view->predictable_not[FLOW_IPV4]) {
	case REASON_NO_KEY:
	case REASON_NO_TABLE:
	case REASON_NO_FUNCTION:
		found(doctor, FINDING_PROBLEM, view, "%s",
		      nic_reason_text(view->predictable_not[FLOW_IPV4]));
		doctor_mend("printf '[nic %s]\\nhash = learn\\n' >> POLICY-FILE", view->name);
		break;
	case REASON_NOT_LINEAR:
		found(doctor, FINDING_PROBLEM, view, "%s", nic_reason_text(REASON_NOT_LINEAR));
		doctor_mend("ethtool -X %s hfunc toeplitz", view->name);
		break;
	case REASON_RSS_OFF:
		found(doctor, FINDING_PROBLEM, view, "%s", nic_reason_text(REASON_RSS_OFF));
		doctor_mend("ethtool -X %s equal %u", view->name, view->arrival.queue_count);
		break;
	case REASON_QUEUE_CPU:
		found(doctor, FINDING_PROBLEM, view, "%s",
		      nic_reason_text(view->predictable_not[FLOW_IPV4]));
		if (view->threaded_napi)
			doctor_mend("echo 0 > /sys/class/net/%s/threaded", view->name);
		else
			doctor_mend("printf '[nic %s]\\nqueue_cpus = 0 1 ...\\n' >> POLICY-FILE",
				    view->name);
		break;
	case REASON_RULES:
		found(doctor, FINDING_WARNING, view, "%u n-tuple rules overrule the table",
		      view->rules);
		doctor_mend("ethtool -n %s; ethtool -N %s delete NUMBER", view->name, view->name);
		break;
	default:
		break;
	}
}

static void mend_isolated(const struct nic_view *view, const cpu_set_t *isolated,
			  const cpu_set_t *allowed)
{
	char text[256];

	for (unsigned i = 0; i < view->arrival.queue_count; i++) {
		int cpu = view->arrival.queue_cpu[i];

		if (cpu >= 0 && CPU_ISSET(cpu, isolated) && view->queue_irq[i] >= 0)
			doctor_mend("echo %s > /proc/irq/%d/smp_affinity_list",
				    cpu_set_text(allowed, text, sizeof(text)), view->queue_irq[i]);
	}
}

/* A queue on a CPU where none of our threads may run: what is isolated is out of reach of all
 * programs that do not ask for it, the rest of this shell's. */
static void check_cpuset(struct doctor *doctor, const struct nic_view *view)
{
	const cpu_set_t *allowed = &doctor->topology.allowed;
	cpu_set_t outside, isolated;
	char text[256];

	CPU_XOR(&outside, &view->cpus, allowed);
	CPU_AND(&outside, &outside, &view->cpus);
	CPU_AND(&isolated, &outside, &doctor->topology.isolated);
	CPU_XOR(&outside, &outside, &isolated);
	if (CPU_COUNT(&isolated)) {
		found(doctor, FINDING_WARNING, view,
		      "CPUs %s receive, but are isolated (isolcpus= or nohz_full=): no worker is "
		      "there",
		      cpu_set_text(&isolated, text, sizeof(text)));
		mend_isolated(view, &isolated, allowed);
	}
	if (!CPU_COUNT(&outside))
		return;
	found(doctor, FINDING_WARNING, view,
	      "CPUs %s receive, but no thread may run there (cpuset or taskset of this shell)",
	      cpu_set_text(&outside, text, sizeof(text)));
	doctor_mend("taskset -pc %s $$", cpu_set_text(&view->cpus, text, sizeof(text)));
}

void doctor_nic(struct doctor *doctor, const struct nic_view *view)
{
	if (view->spreads_not == REASON_SINGLE_QUEUE)
		check_single_queue(doctor, view);
	if (view->spreads_not == REASON_ONE_CPU)
		check_one_cpu(doctor, view);
	check_rps(doctor, view);
	check_told(doctor, view);
	check_fields(doctor, view);
	check_xps(doctor, view);
	check_key(doctor, view);
	check_cpuset(doctor, view);
}
