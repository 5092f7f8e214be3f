/* observe: are connections served where their packets arrive? Judged from outside the application.
 *
 * Packets: the kernel's own SO_INCOMING_CPU of each TCP connection, asked on a duplicate of the
 * descriptor (pidfd_getfd). Served: the thread that watches the connection, found so:
 *  1. /proc/PID/fdinfo of every epoll instance names the inodes registered in it. The thread of an
 *     instance is the one seen to wait on it in /proc/PID/task/TID/syscall; an instance inside
 *     another (nested epoll) belongs to the thread of the outer one.
 *  2. A connection in no epoll instance belongs to the thread seen blocked in a call on it (read,
 *     recv, ...), or in poll or select with it in the set, read from the thread's memory.
 *  3. In a process of one thread it is that thread, whatever it does.
 * A thread that runs shows no call, so samples are taken again for a while. Where no thread was
 * seen, or several were, the connection is "unknown": nothing is guessed, and unknown is not
 * aligned.
 *
 * A thread is pinned if its affinity mask is a strict subset of the CPUs with receive queues. A
 * connection is aligned if the CPU of its packets is in the mask of a pinned thread. */
#include "observe.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct scene scene = {
	.pids = {.size = sizeof(pid_t)},
	.threads = {.size = sizeof(struct thread)},
	.epolls = {.size = sizeof(struct epoll)},
	.entries = {.size = sizeof(struct entry)},
	.legs = {.size = sizeof(struct leg)},
	.listening = {.size = sizeof(int)},
};
struct options opt = {.wait_ms = 500};

void *list_add(struct list *l)
{
	if (l->count == l->room) {
		l->room = l->room ? 2 * l->room : 64;
		l->at = realloc(l->at, l->room * l->size);
		if (!l->at)
			abort();
	}
	return memset((char *)l->at + l->size * l->count++, 0, l->size);
}

__attribute__((noreturn)) static void bad_usage(void)
{
	fputs("usage: observe [OPTION]... PID...\n"
	      "Judges the TCP connections of these processes and their descendants.\n"
	      "  --listen PORT    only connections accepted on PORT; may be repeated\n"
	      "  --upstream PORT  only connections to PORT of others; may be repeated\n"
	      "  --cpus LIST      CPUs with receive queues (all that are online)\n"
	      "  --only           not the descendants\n"
	      "  --list           a line for each connection\n"
	      "  --sessions       bounds for proxied sessions with both legs aligned\n"
	      "  --wait MS        how long to look for the thread of a connection (500)\n"
	      "  --json           the summary as JSON\n",
	      stderr);
	exit(2);
}

static int number(const char *text, int max)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (end == text || *end || value < 0 || value > max)
		bad_usage();
	return value;
}

static void parse_cpus(const char *text)
{
	CPU_ZERO(&opt.cpus);
	while (*text) {
		char *end;
		unsigned long first = strtoul(text, &end, 10), last = first;

		if (end == text)
			bad_usage();
		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		if (last >= CPU_SETSIZE || last < first)
			bad_usage();
		for (; first <= last; first++)
			CPU_SET(first, &opt.cpus);
		text = end + strspn(end, ", ");
	}
}

static void online_cpus(void)
{
	char line[4096] = "0";
	FILE *f = fopen("/sys/devices/system/cpu/online", "re");

	if (f && fgets(line, sizeof(line), f))
		line[strcspn(line, "\n")] = 0;
	if (f)
		fclose(f);
	parse_cpus(line);
}

static void parse_options(int argc, char **argv)
{
	static const struct option options[] = {
		{"listen", required_argument, NULL, 'l'},
		{"upstream", required_argument, NULL, 'u'},
		{"cpus", required_argument, NULL, 'c'},
		{"wait", required_argument, NULL, 'w'},
		{"only", no_argument, NULL, 'o'},
		{"list", no_argument, NULL, 'i'},
		{"sessions", no_argument, NULL, 's'},
		{"json", no_argument, NULL, 'j'},
		{0},
	};
	int option;

	online_cpus();
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'l':
			if (opt.listens == PORTS_MAX)
				bad_usage();
			opt.listen[opt.listens++] = number(optarg, 65535);
			break;
		case 'u':
			if (opt.upstreams == PORTS_MAX)
				bad_usage();
			opt.upstream[opt.upstreams++] = number(optarg, 65535);
			break;
		case 'c':
			parse_cpus(optarg);
			break;
		case 'w':
			opt.wait_ms = number(optarg, 60000);
			break;
		case 'o':
			opt.only = true;
			break;
		case 'i':
			opt.list = true;
			break;
		case 's':
			opt.sessions = true;
			break;
		case 'j':
			opt.json = true;
			break;
		default:
			bad_usage();
		}
	}
	if (optind == argc)
		bad_usage();
	for (int i = optind; i < argc; i++)
		*(pid_t *)list_add(&scene.pids) = number(argv[i], 1 << 22);
}

int main(int argc, char **argv)
{
	parse_options(argc, argv);
	if (!opt.only)
		walk_descendants();
	walk();
	serve();
	report();
	if (!scene.threads.count) {
		fprintf(stderr, "observe: no such process\n");
		return 1;
	}
	return 0;
}
