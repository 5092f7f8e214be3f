/* softnic: puts the soft RSS NIC on a network device, changes it live, takes it off.
 *
 * Nothing is pinned: the maps belong to the program, the program to the device, and both go with
 * it. `set` and `show` find them again through the program attached to the device. */
#include "rules.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The XDP program, linked in: one file to carry about. */
__asm__(".pushsection .rodata\n"
	".balign 8\n"
	"softnic_object: .incbin \"" SOFTNIC_OBJECT "\"\n"
	"softnic_object_end:\n"
	".popsection\n");
extern const char softnic_object[], softnic_object_end[];

#define CPU_QUEUE_PACKETS 4096 /* a CPU's backlog, as long as a large receive ring */

/* Microsoft's verification key, what most drivers ship with. */
static const char default_key[] = "6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b4"
				  "77cb2da38030f20c6a42b73bbeac01fa";

static const char usage[] =
	"usage: softnic attach DEV [OPTION]...   make DEV a NIC with RSS\n"
	"       softnic set DEV [OPTION]...      change it; what is not named stays\n"
	"       softnic show DEV                 what it does, and the kernel threads of its CPUs\n"
	"       softnic off DEV\n"
	"  --key HEX             40 to 52 bytes, colons allowed\n"
	"  --equal N[:SIZE]      indirection table 0 1 .. N-1 0 1 .., SIZE (128) entries\n"
	"  --table \"Q Q ...\"     the table itself, up to 4096 entries\n"
	"  --queue-cpus \"C ...\"  CPU of queue 0, 1, ..\n"
	"  --transform none|symmetric-xor|symmetric-or-xor\n"
	"  --fields 4-tuple|addresses\n"
	"  --spray no|flow|packet  random CPUs instead of a hash: a flow keeps its own, or nothing "
	"does\n";

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
	va_list args;

	fputs("softnic: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

/* --- options into rules ----------------------------------------------------------------- */

static void parse_key(struct softnic_rules *r, const char *text)
{
	unsigned int n = 0;

	for (const char *at = text; *at; n++) {
		char pair[3] = {at[0], at[1], 0};

		if (n == SOFTNIC_KEY_MAX || !isxdigit((unsigned char)at[0]) ||
		    !isxdigit((unsigned char)at[1]))
			die("--key %s: 40 to 52 bytes in hex", text);
		r->key[n] = strtoul(pair, NULL, 16);
		at += 2;
		if (*at == ':')
			at++;
	}
	if (n < SOFTNIC_KEY_MIN)
		die("--key: %u bytes, at least %u", n, SOFTNIC_KEY_MIN);
	r->key_len = n;
}

/* Numbers below `limit` separated by blanks or commas into `out`; how many. */
static unsigned int parse_list(const char *option, const char *text, __u16 *out, unsigned int max,
			       unsigned int limit)
{
	unsigned int n = 0;

	for (const char *at = text; *at;) {
		char *end;
		unsigned long value = strtoul(at, &end, 10);

		if (end == at || value >= limit || n == max)
			die("%s: up to %u numbers below %u, not \"%.40s\"", option, max, limit, at);
		out[n++] = value;
		at = end + strspn(end, " ,\t\n");
	}
	if (!n)
		die("%s: empty", option);
	return n;
}

static void parse_equal(struct softnic_rules *r, const char *text)
{
	unsigned int queues, size = 128;
	char rest;
	int n = sscanf(text, "%u:%u%c", &queues, &size, &rest);

	if (n < 1 || n > 2 || (n == 1 && strchr(text, ':')) || !queues ||
	    queues > SOFTNIC_QUEUES_MAX || !size || size > SOFTNIC_BUCKETS_MAX)
		die("--equal %s: N or N:SIZE", text);
	r->bucket_count = size;
	for (unsigned int i = 0; i < size; i++)
		r->queue[i] = i % queues;
}

static unsigned int parse_word(const char *option, const char *text, const char *const *words)
{
	for (unsigned int i = 0; words[i]; i++)
		if (!strcmp(text, words[i]))
			return i;
	die("%s: not %s", option, text);
}

static const char *const transform_names[] = {"none", "symmetric-xor", "symmetric-or-xor", NULL};
static const char *const fields_names[] = {"4-tuple", "addresses", NULL};
static const char *const spray_names[] = {"no", "flow", "packet", NULL};

static void parse_options(struct softnic_rules *r, int argc, char **argv)
{
	static const struct option options[] = {
		{"key", required_argument, NULL, 'k'},
		{"equal", required_argument, NULL, 'e'},
		{"table", required_argument, NULL, 't'},
		{"queue-cpus", required_argument, NULL, 'q'},
		{"transform", required_argument, NULL, 'x'},
		{"fields", required_argument, NULL, 'f'},
		{"spray", required_argument, NULL, 's'},
		{0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'k':
			parse_key(r, optarg);
			break;
		case 'e':
			parse_equal(r, optarg);
			break;
		case 't':
			r->bucket_count = parse_list("--table", optarg, r->queue,
						     SOFTNIC_BUCKETS_MAX, SOFTNIC_QUEUES_MAX);
			break;
		case 'q':
			r->queue_count = parse_list("--queue-cpus", optarg, r->queue_cpu,
						    SOFTNIC_QUEUES_MAX, libbpf_num_possible_cpus());
			break;
		case 'x':
			r->transform = parse_word("--transform", optarg, transform_names);
			break;
		case 'f':
			r->fields = parse_word("--fields", optarg, fields_names);
			break;
		case 's':
			r->spray = parse_word("--spray", optarg, spray_names);
			break;
		default:
			fputs(usage, stderr);
			exit(2);
		}
	}
	if (optind != argc)
		die("%s: no option", argv[optind]);
}

/* The 32 bits of the key from bit `bit` on; past its end the key counts as zeros. */
static __u32 key_window(const struct softnic_rules *r, unsigned int bit)
{
	__u32 window = 0;

	for (unsigned int i = bit; i < bit + 32; i++)
		window = window << 1 | (i < 8 * r->key_len && r->key[i / 8] >> (7 - i % 8) & 1);
	return window;
}

/* Fills what the XDP program reads from what was configured. */
static void compile(struct softnic_rules *r)
{
	for (unsigned int byte = 0; byte < SOFTNIC_INPUT_MAX; byte++) {
		for (unsigned int value = 0; value < 256; value++) {
			r->part[byte][value] = 0;
			for (unsigned int bit = 0; bit < 8; bit++)
				if (value & 0x80 >> bit)
					r->part[byte][value] ^= key_window(r, 8 * byte + bit);
		}
	}
	for (unsigned int i = 0; i < r->bucket_count; i++) {
		if (r->queue[i] >= r->queue_count)
			die("the table names queue %u, --queue-cpus only %u queues", r->queue[i],
			    r->queue_count);
		r->cpu[i] = r->queue_cpu[r->queue[i]];
	}
	if (r->spray && !r->spray_seed)
		r->spray_seed = (__u32)getpid() * 2654435761u | 1;
}

/* --- the program on the device ----------------------------------------------------------- */

struct nic {
	int cpus, rules, in_force; /* map descriptors */
	__u32 cpus_id;
};

/* Makes the CPUMAP entries the table needs; each is a kernel thread bound to its CPU. */
static void ensure_cpus(const struct nic *nic, const struct softnic_rules *r)
{
	for (unsigned int i = 0; i < r->bucket_count; i++) {
		struct bpf_cpumap_val value = {.qsize = CPU_QUEUE_PACKETS}, old;
		__u32 cpu = r->cpu[i];

		if (!bpf_map_lookup_elem(nic->cpus, &cpu, &old) && old.qsize)
			continue;
		if (bpf_map_update_elem(nic->cpus, &cpu, &value, 0))
			die("CPU %u: %s", cpu, strerror(errno));
	}
}

static void read_rules(const struct nic *nic, __u32 *index, struct softnic_rules *r)
{
	__u32 zero = 0;

	if (bpf_map_lookup_elem(nic->in_force, &zero, index) ||
	    bpf_map_lookup_elem(nic->rules, index, r))
		die("reading the rules: %s", strerror(errno));
}

static void put_in_force(const struct nic *nic, __u32 index, struct softnic_rules *r)
{
	__u32 zero = 0;

	compile(r);
	ensure_cpus(nic, r);
	if (bpf_map_update_elem(nic->rules, &index, r, 0) ||
	    bpf_map_update_elem(nic->in_force, &zero, &index, 0))
		die("writing the rules: %s", strerror(errno));
}

static int load(struct nic *nic)
{
	struct bpf_object *object =
		bpf_object__open_mem(softnic_object, softnic_object_end - softnic_object, NULL);
	struct bpf_program *program;

	if (!object)
		die("the program does not open: %s", strerror(errno));
	program = bpf_object__find_program_by_name(object, "softnic");
	bpf_map__set_max_entries(bpf_object__find_map_by_name(object, "cpus"),
				 libbpf_num_possible_cpus());
	if (bpf_object__load(object))
		die("the program does not load: %s", strerror(errno));
	nic->cpus = bpf_object__find_map_fd_by_name(object, "cpus");
	nic->rules = bpf_object__find_map_fd_by_name(object, "rules");
	nic->in_force = bpf_object__find_map_fd_by_name(object, "in_force");
	return bpf_program__fd(program);
}

/* Opens the maps of the program attached to the device. */
static void find(unsigned int ifindex, const char *device, struct nic *nic)
{
	__u32 program_id = 0, map_ids[8] = {0};
	struct bpf_prog_info program = {.nr_map_ids = 8, .map_ids = (unsigned long)map_ids};
	__u32 length = sizeof(program);
	int fd;

	*nic = (struct nic){.cpus = -1, .rules = -1, .in_force = -1};
	if (bpf_xdp_query_id(ifindex, 0, &program_id) || !program_id)
		die("%s carries no program", device);
	fd = bpf_prog_get_fd_by_id(program_id);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &program, &length))
		die("%s: program %u: %s", device, program_id, strerror(errno));
	for (unsigned int i = 0; i < program.nr_map_ids && i < 8; i++) {
		struct bpf_map_info map = {0};
		int map_fd = bpf_map_get_fd_by_id(map_ids[i]);

		length = sizeof(map);
		if (map_fd < 0 || bpf_obj_get_info_by_fd(map_fd, &map, &length))
			die("%s: map %u: %s", device, map_ids[i], strerror(errno));
		if (!strcmp(map.name, "cpus")) {
			nic->cpus = map_fd;
			nic->cpus_id = map.id;
		} else if (!strcmp(map.name, "rules") &&
			   map.value_size == sizeof(struct softnic_rules)) {
			nic->rules = map_fd;
		} else if (!strcmp(map.name, "in_force")) {
			nic->in_force = map_fd;
		}
	}
	close(fd);
	if (nic->cpus < 0 || nic->rules < 0 || nic->in_force < 0)
		die("%s carries another program", device);
}

/* --- the verbs --------------------------------------------------------------------------- */

static struct softnic_rules rules;

static void attach(unsigned int ifindex, const char *device, int argc, char **argv)
{
	struct nic nic;
	int program, error;

	parse_key(&rules, default_key);
	parse_equal(&rules, "2");
	rules.queue_count = 2;
	rules.queue_cpu[1] = 1;
	parse_options(&rules, argc, argv);

	program = load(&nic);
	put_in_force(&nic, 0, &rules);
	error = bpf_xdp_attach(ifindex, program, XDP_FLAGS_DRV_MODE | XDP_FLAGS_UPDATE_IF_NOEXIST,
			       NULL);
	if (error)
		die("%s: %s", device, strerror(-error));
}

static void set(unsigned int ifindex, const char *device, int argc, char **argv)
{
	struct nic nic;
	__u32 index;

	find(ifindex, device, &nic);
	read_rules(&nic, &index, &rules);
	parse_options(&rules, argc, argv);
	put_in_force(&nic, !index, &rules);
}

static void show(unsigned int ifindex, const char *device)
{
	struct nic nic;
	__u32 index;

	find(ifindex, device, &nic);
	read_rules(&nic, &index, &rules);
	printf("key        ");
	for (unsigned int i = 0; i < rules.key_len; i++)
		printf("%s%02x", i ? ":" : "", rules.key[i]);
	printf("\ntable     ");
	for (unsigned int i = 0; i < rules.bucket_count; i++)
		printf(" %u", rules.queue[i]);
	printf("\nqueue-cpus");
	for (unsigned int i = 0; i < rules.queue_count; i++)
		printf(" %u", rules.queue_cpu[i]);
	printf("\ntransform  %s\nfields     %s\nspray      %s\nthreads    cpumap/CPU/map:%u\n",
	       transform_names[rules.transform], fields_names[rules.fields],
	       spray_names[rules.spray], nic.cpus_id);
}

int main(int argc, char **argv)
{
	const char *verb = argc > 2 ? argv[1] : "", *device = argc > 2 ? argv[2] : "";
	unsigned int ifindex;

	if (argc < 3) {
		fputs(usage, stderr);
		return 2;
	}
	ifindex = if_nametoindex(device);
	if (!ifindex)
		die("%s: no such device here", device);
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);

	if (!strcmp(verb, "attach")) {
		attach(ifindex, device, argc - 2, argv + 2);
	} else if (!strcmp(verb, "set")) {
		set(ifindex, device, argc - 2, argv + 2);
	} else if (!strcmp(verb, "show")) {
		show(ifindex, device);
	} else if (!strcmp(verb, "off")) {
		int error = bpf_xdp_detach(ifindex, XDP_FLAGS_DRV_MODE, NULL);

		if (error)
			die("%s: %s", device, strerror(-error));
	} else {
		fputs(usage, stderr);
		return 2;
	}
	return 0;
}
