#include "shim/decide/ports.h"
#include "shim/command/flow_question.h"
#include "shim/command/flow_text.h"
#include "shim/command/verbs.h"
#include "shim/policy/start.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int failed(const char *what)
{
	fprintf(stderr, "rssshim ports: %s\n", what);
	return 1;
}

static void print_error(void *context, enum log_level level, const char *line)
{
	const char *key = strstr(line, "] "); /* behind the place and the section */

	(void)context, (void)level;
	fprintf(stderr, "rssshim ports: %s\n", key ? key + 2 : line);
}

/* [connect] range of a policy. False when the text is wrong, which is said. */
static bool range_of_policy(struct policy_range *range, const struct policy_source *source,
			    policy_report_fn report)
{
	static struct policy policy; /* 36 KB */
	unsigned errors = policy_load(&policy, source, report, NULL);

	if (policy.connect_range.low)
		*range = policy.connect_range;
	return errors == 0;
}

/* From the option, else the policy, else the host. */
static bool find_range(struct policy_range *range, const char *option, const char *conf)
{
	struct policy_source source = {.environment = environ};
	struct policy_text text = {0};
	const char *wrong;
	char line[64];
	unsigned low, high;

	*range = (struct policy_range){32768, 60999}; /* the kernel's own default */
	if (option) {
		snprintf(line, sizeof(line), "[connect]\nrange = %.32s\n", option);
		source = (struct policy_source){
			.file = "option", .text = line, .size = strlen(line)};
		return range_of_policy(range, &source, print_error);
	}
	FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "r");

	if (file) {
		if (fscanf(file, "%u %u", &low, &high) == 2 && low >= 1 && low <= high &&
		    high <= UINT16_MAX)
			*range = (struct policy_range){(uint16_t)low, (uint16_t)high};
		fclose(file);
	}
	/* What is wrong in the file was said when the NIC was read from it. */
	if (conf && policy_text_read(conf, false, &text, &wrong) == 0) {
		source.file = conf;
		source.text = text.text;
		source.size = text.size;
	}
	range_of_policy(range, &source, NULL);
	policy_text_release(&text);
	return true;
}

static void print_ports(const struct port_set *set)
{
	static bool match[UINT16_MAX + 1];

	for (uint32_t i = 0; i < set->positions; i++)
		match[port_set_at(set, i)] = true;
	for (unsigned port = 1; port <= UINT16_MAX; port++) {
		if (match[port])
			printf("%u\n", port);
	}
}

static int answer(const struct arrival *arrival, const struct flow *flow, unsigned cpu,
		  const struct policy_range *between)
{
	static struct ports ports;
	static struct port_set set;
	struct port_target target;
	struct port_range range;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	ports_init(&ports, arrival);
	port_target_init(&target, &ports, &cpus);
	port_range_init(&range, &ports, between->low, between->high);
	switch (port_set_init(&set, arrival, &ports, &target, &range, flow)) {
	case PORTS_FOUND:
		print_ports(&set);
		return 0;
	case PORTS_HASH_UNKNOWN:
		return failed("the hash of this flow is not known (key too short, or other fields "
			      "than addresses and ports)");
	case PORTS_NO_QUEUE:
		return failed("no receive queue is known to deliver to this CPU");
	case PORTS_UNREACHABLE:
		break;
	}
	return failed("with this hash key no source port brings this flow to this CPU");
}

int verb_ports(int argc, char **argv)
{
	const char *cpu = NULL, *range_option = NULL;
	const struct flow_option own[] = {{"cpu", true, &cpu}, {"range", true, &range_option}};
	struct flow_question question;
	static struct arrival arrival;
	struct policy_range range;
	struct flow flow;
	char *end;

	if (!flow_question_read(&question, "ports", argc, argv, own, 2))
		return 2;
	if (!question.nic || !question.remote || !question.local || !cpu)
		return verb_usage("ports");

	const char *wrong = flow_parse(&flow, question.remote, question.local, false);
	unsigned long number = strtoul(cpu, &end, 10);

	if (!wrong && (*cpu < '0' || *cpu > '9' || *end || number >= RSS_CPUS_MAX))
		wrong = "--cpu: a CPU's number, from 0 to 1023";
	if (wrong) {
		fprintf(stderr, "rssshim ports: %s\n", wrong);
		return 2;
	}
	if (!flow_question_arrival(&question, "ports", &arrival))
		return 1;
	if (!find_range(&range, range_option, question.conf))
		return 2;
	return answer(&arrival, &flow, (unsigned)number, &range);
}
