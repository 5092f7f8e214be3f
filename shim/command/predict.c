#include "shim/command/flow_text.h"
#include "shim/command/verbs.h"
#include "shim/nic/nic_arrival.h"
#include <getopt.h>
#include <stdio.h>

static void print_json_number(const char *name, int value, const char *end)
{
	if (value < 0)
		printf("\"%s\": null%s", name, end);
	else
		printf("\"%s\": %d%s", name, value, end);
}

static void print_json(const struct arrival_place *place)
{
	if (place->hashed)
		printf("{\"hash\": \"0x%08x\", ", place->hash);
	else
		printf("{\"hash\": null, ");
	print_json_number("bucket", place->bucket, ", ");
	print_json_number("queue", place->queue, ", ");
	print_json_number("cpu", place->cpu, "}\n");
}

static void print_number(const char *name, int value)
{
	if (value < 0)
		printf("%-6s unknown\n", name);
	else
		printf("%-6s %d\n", name, value);
}

static void print_text(const struct arrival_place *place)
{
	if (place->hashed)
		printf("%-6s 0x%08x\n", "hash", place->hash);
	else
		printf("%-6s unknown\n", "hash");
	print_number("bucket", place->bucket);
	print_number("queue", place->queue);
	print_number("cpu", place->cpu);
}

int verb_predict(int argc, char **argv)
{
	static const struct option long_options[] = {
		{"nic", required_argument, NULL, 'n'},    {"conf", required_argument, NULL, 'c'},
		{"remote", required_argument, NULL, 'r'}, {"local", required_argument, NULL, 'l'},
		{"json", no_argument, NULL, 'j'},         {0}};
	const char *nic = NULL, *conf = NULL, *remote = NULL, *local = NULL;
	static struct arrival arrival;
	struct flow flow;
	char why[512];
	bool json = false;
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) >= 0) {
		if (option == 'n')
			nic = optarg;
		else if (option == 'c')
			conf = optarg;
		else if (option == 'r')
			remote = optarg;
		else if (option == 'l')
			local = optarg;
		else if (option == 'j')
			json = true;
		else
			return verb_usage("predict");
	}
	if (optind < argc || !nic || !remote || !local)
		return verb_usage("predict");

	const char *wrong = flow_parse(&flow, remote, local, true);

	if (wrong) {
		fprintf(stderr, "rssshim predict: %s\n", wrong);
		return 2;
	}
	int error = nic_arrival_load(nic, conf, &arrival, why, sizeof(why));

	if (*why)
		fprintf(stderr, "rssshim predict: %s\n", why);
	if (error)
		return 1;

	struct arrival_place place = arrival_of(&arrival, &flow);

	if (json)
		print_json(&place);
	else
		print_text(&place);
	return place.cpu < 0 ? 1 : 0;
}
