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
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { PORTS_MAX = 8, ROUNDS_MIN = 10, ROUND_MS = 2 };
enum verdict { ALIGNED, MISALIGNED, UNPINNED, UNKNOWN, VERDICTS };
enum kind { ACCEPTED, UPSTREAM, KINDS };

static const char *const verdict_names[] = {"aligned", "misaligned", "unpinned", "unknown"};
static const char *const kind_names[] = {"accepted", "upstream"};

/* An array that grows; `count` elements of `size` bytes. */
struct list {
	void *at;
	size_t count, room, size;
};

struct thread {
	pid_t pid, tid;
	cpu_set_t mask;
	char mask_text[64];
	unsigned int legs[KINDS], aligned[KINDS];
};

struct epoll {
	pid_t pid;
	int fd;
	int thread; /* who waits on it: index, or NOBODY or SEVERAL */
	bool wanted;
};
enum { NOBODY = -1, SEVERAL = -2 };

/* One inode registered in one epoll instance. */
struct entry {
	unsigned long ino;
	unsigned int device;
	int target; /* descriptor number it was registered by */
	int epoll;  /* index */
};

/* A connection as one process holds it. */
struct leg {
	unsigned long ino;
	pid_t pid;
	int fd, packet_cpu, thread;
	unsigned int device;
	enum kind kind;
	enum verdict verdict;
	struct sockaddr_storage local, remote;
	bool in_epoll, watched; /* watched: in an epoll instance, or a thread seen blocked on it */
};

static struct list pids = {.size = sizeof(pid_t)};
static struct list threads = {.size = sizeof(struct thread)};
static struct list epolls = {.size = sizeof(struct epoll)};
static struct list entries = {.size = sizeof(struct entry)};
static struct list legs = {.size = sizeof(struct leg)};
static struct list listening = {.size = sizeof(int)};

static struct {
	int listen[PORTS_MAX], upstream[PORTS_MAX], listens, upstreams, wait_ms;
	bool json, list, sessions, only;
	cpu_set_t cpus;
} opt = {.wait_ms = 500};

#define each(type, item, l) \
	for (type *item = (l)->at; item && item < (type *)(l)->at + (l)->count; item++)

static void *grow(struct list *l)
{
	if (l->count == l->room) {
		l->room = l->room ? 2 * l->room : 64;
		l->at = realloc(l->at, l->room * l->size);
		if (!l->at)
			abort();
	}
	return memset((char *)l->at + l->size * l->count++, 0, l->size);
}

static bool has(const int *ports, int count, int port)
{
	for (int i = 0; i < count; i++)
		if (ports[i] == port)
			return true;
	return false;
}

__attribute__((format(printf, 1, 2))) static DIR *open_dir(const char *format, ...)
{
	char path[64];
	va_list args;

	va_start(args, format);
	vsnprintf(path, sizeof(path), format, args);
	va_end(args);
	return opendir(path);
}

/* The next entry of a directory whose name is a number, -1 at the end. */
static int next_number(DIR *dir)
{
	struct dirent *d;

	while (dir && (d = readdir(dir)))
		if (isdigit((unsigned char)d->d_name[0]))
			return atoi(d->d_name);
	return -1;
}

/* --- processes and threads --------------------------------------------------------------- */

static bool known_pid(pid_t pid)
{
	each (pid_t, known, &pids)
		if (*known == pid)
			return true;
	return false;
}

static pid_t parent_of(pid_t pid)
{
	char path[64], line[512];
	const char *after;
	FILE *f;
	int parent = -1;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	/* The name in parentheses may hold anything, so count from its end. */
	if (f && fgets(line, sizeof(line), f) && (after = strrchr(line, ')')))
		sscanf(after, ") %*c %d", &parent);
	if (f)
		fclose(f);
	return parent;
}

/* A child may come before its parent in /proc (pids wrap), hence until nothing is added. */
static void add_descendants(void)
{
	size_t before;

	do {
		DIR *proc = opendir("/proc");
		pid_t pid;

		before = pids.count;
		while ((pid = next_number(proc)) >= 0)
			if (!known_pid(pid) && known_pid(parent_of(pid)))
				*(pid_t *)grow(&pids) = pid;
		closedir(proc);
	} while (pids.count > before);
}

static void mask_format(const cpu_set_t *mask, char *out, size_t size)
{
	size_t n = 0;

	out[0] = 0;
	for (int cpu = 0; cpu < CPU_SETSIZE && n < size; cpu++) {
		int last = cpu;

		if (!CPU_ISSET(cpu, mask))
			continue;
		while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, mask))
			last++;
		n += snprintf(out + n, size - n, last > cpu ? "%s%d-%d" : "%s%d", n ? "," : "", cpu,
			      last);
		cpu = last;
	}
}

static void walk_threads(pid_t pid)
{
	DIR *dir = open_dir("/proc/%d/task", pid);
	pid_t tid;

	while ((tid = next_number(dir)) >= 0) {
		struct thread t = {.pid = pid, .tid = tid};

		if (sched_getaffinity(tid, sizeof(t.mask), &t.mask))
			continue;
		mask_format(&t.mask, t.mask_text, sizeof(t.mask_text));
		*(struct thread *)grow(&threads) = t;
	}
	if (dir)
		closedir(dir);
}

static bool pinned(const struct thread *t)
{
	cpu_set_t both;

	CPU_AND(&both, &t->mask, &opt.cpus);
	/* Off all receive queues is no home either, but it is a decision: misaligned, then. */
	if (!CPU_COUNT(&both))
		return true;
	return CPU_EQUAL(&both, &t->mask) && CPU_COUNT(&both) < CPU_COUNT(&opt.cpus);
}

/* --- descriptors ------------------------------------------------------------------------- */

static int port_of(const struct sockaddr_storage *a)
{
	return ntohs(((const struct sockaddr_in *)a)->sin_port); /* same place in sockaddr_in6 */
}

static int int_option(int fd, int level, int name)
{
	int value = -1;
	socklen_t length = sizeof(value);

	return getsockopt(fd, level, name, &value, &length) ? -1 : value;
}

/* Looks at a socket of another process through a duplicate of it. */
static void add_socket(pid_t pid, int pidfd, int fd)
{
	struct leg leg = {.pid = pid, .fd = fd, .thread = NOBODY};
	struct tcp_info info = {0};
	socklen_t length = sizeof(info), local = sizeof(leg.local), remote = sizeof(leg.remote);
	struct stat status;
	int copy = syscall(SYS_pidfd_getfd, pidfd, fd, 0);

	if (copy < 0)
		return;
	if (int_option(copy, SOL_SOCKET, SO_PROTOCOL) != IPPROTO_TCP ||
	    getsockopt(copy, IPPROTO_TCP, TCP_INFO, &info, &length) || fstat(copy, &status) ||
	    getsockname(copy, (struct sockaddr *)&leg.local, &local))
		goto out;
	if (info.tcpi_state == TCP_LISTEN)
		*(int *)grow(&listening) = port_of(&leg.local);
	if (info.tcpi_state != TCP_ESTABLISHED ||
	    getpeername(copy, (struct sockaddr *)&leg.remote, &remote))
		goto out;
	leg.ino = status.st_ino;
	leg.device = major(status.st_dev) << 20 | minor(status.st_dev);
	leg.packet_cpu = int_option(copy, SOL_SOCKET, SO_INCOMING_CPU);
	*(struct leg *)grow(&legs) = leg;
out:
	close(copy);
}

static void add_epoll(pid_t pid, int fd)
{
	struct epoll *e = grow(&epolls);
	char path[64], line[256];
	struct entry entry = {.epoll = epolls.count - 1};
	FILE *f;

	*e = (struct epoll){.pid = pid, .fd = fd, .thread = NOBODY};
	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", pid, fd);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "tfd: %d events: %*x data: %*x pos:%*i ino:%lx sdev:%x",
			   &entry.target, &entry.ino, &entry.device) == 3)
			*(struct entry *)grow(&entries) = entry;
	if (f)
		fclose(f);
}

static void walk_descriptors(pid_t pid)
{
	int pidfd = syscall(SYS_pidfd_open, pid, 0);
	DIR *dir = open_dir("/proc/%d/fd", pid);
	int fd;

	while (pidfd >= 0 && (fd = next_number(dir)) >= 0) {
		char name[16], link[64];
		ssize_t n;

		snprintf(name, sizeof(name), "%d", fd);
		n = readlinkat(dirfd(dir), name, link, sizeof(link) - 1);
		link[n > 0 ? n : 0] = 0;
		if (!strncmp(link, "socket:", 7))
			add_socket(pid, pidfd, fd);
		else if (!strcmp(link, "anon_inode:[eventpoll]"))
			add_epoll(pid, fd);
	}
	if (dir)
		closedir(dir);
	if (pidfd >= 0)
		close(pidfd);
}

/* Keeps the connections that were asked for. Without a port, all: those on a port somebody in the
 * tree listens on were accepted. */
static void select_legs(void)
{
	size_t kept = 0;

	each (struct leg, leg, &legs) {
		int local = port_of(&leg->local), remote = port_of(&leg->remote);

		if (opt.listens + opt.upstreams == 0)
			leg->kind = has(listening.at, listening.count, local) ? ACCEPTED : UPSTREAM;
		else if (has(opt.listen, opt.listens, local))
			leg->kind = ACCEPTED;
		else if (has(opt.upstream, opt.upstreams, remote))
			leg->kind = UPSTREAM;
		else
			continue;
		((struct leg *)legs.at)[kept++] = *leg;
	}
	legs.count = kept;
}

/* --- who serves what --------------------------------------------------------------------- */

static void seen(int *thread, int index)
{
	*thread = *thread == NOBODY || *thread == index ? index : SEVERAL;
}

/* Reads `size` bytes of a thread's memory: what a poll or select call was given. */
static bool peek(pid_t tid, unsigned long address, void *out, size_t size)
{
	struct iovec to = {out, size}, from = {(void *)address, size};

	return process_vm_readv(tid, &to, 1, &from, 1, 0) == (ssize_t)size;
}

static void seen_on_fd(int index, int fd)
{
	struct thread *t = (struct thread *)threads.at + index;

	each (struct leg, leg, &legs) {
		if (leg->pid != t->pid || leg->fd != fd || leg->in_epoll)
			continue;
		leg->watched = true;
		seen(&leg->thread, index);
	}
}

static void seen_polling(int index, unsigned long address, unsigned long count)
{
	static struct pollfd set[20000];

	if (count <= sizeof(set) / sizeof(*set) &&
	    peek(((struct thread *)threads.at)[index].tid, address, set, count * sizeof(*set)))
		for (unsigned long i = 0; i < count; i++)
			seen_on_fd(index, set[i].fd);
}

static void seen_selecting(int index, unsigned long count, unsigned long address)
{
	fd_set set;

	FD_ZERO(&set);
	if (count <= FD_SETSIZE && address &&
	    peek(((struct thread *)threads.at)[index].tid, address, &set, (count + 63) / 64 * 8))
		for (unsigned long fd = 0; fd < count; fd++)
			if (FD_ISSET(fd, &set))
				seen_on_fd(index, fd);
}

/* What call a thread sits in: "NUMBER 0xARG 0xARG ..."; "running" if in none. The kernel puts the
 * call there by stopping nothing: a line is either of a blocked thread or says nothing. */
static void sample_thread(int index)
{
	struct thread *t = (struct thread *)threads.at + index;
	unsigned long arg[3];
	char path[64], line[256];
	long number;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", t->pid, t->tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	n = read(fd, line, sizeof(line) - 1);
	close(fd);
	line[n > 0 ? n : 0] = 0;
	if (sscanf(line, "%ld %lx %lx %lx", &number, &arg[0], &arg[1], &arg[2]) != 4)
		return;

	switch (number) {
#ifdef SYS_epoll_wait
	case SYS_epoll_wait:
#endif
	case SYS_epoll_pwait:
	case SYS_epoll_pwait2:
		each (struct epoll, e, &epolls)
			if (e->pid == t->pid && e->fd == (int)arg[0])
				seen(&e->thread, index);
		break;
#ifdef SYS_poll
	case SYS_poll:
#endif
	case SYS_ppoll:
		seen_polling(index, arg[0], arg[1]);
		break;
#ifdef SYS_select
	case SYS_select:
#endif
	case SYS_pselect6:
		seen_selecting(index, arg[0], arg[1]);
		break;
	case SYS_read:
	case SYS_readv:
	case SYS_recvfrom:
	case SYS_recvmsg:
	case SYS_recvmmsg:
	case SYS_write:
	case SYS_writev:
	case SYS_sendto:
	case SYS_sendmsg:
	case SYS_splice:
	case SYS_sendfile:
		seen_on_fd(index, arg[0]);
		break;
	}
}

static int compare_entry(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

/* Entries are sorted by inode: [first, end) are those of one. */
static struct entry *first_entry(unsigned long ino)
{
	size_t low = 0, high = entries.count;
	struct entry *all = entries.at;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (all[middle].ino < ino)
			low = middle + 1;
		else
			high = middle;
	}
	return all + low;
}

#define each_entry(e, number)                       \
	for (struct entry *e = first_entry(number); \
	     e && e < (struct entry *)entries.at + entries.count && e->ino == (number); e++)

/* The thread of an instance: its own waiter, or the one of the instance it is registered in. All
 * epoll instances share one inode, so those are told by process and descriptor. */
static int epoll_thread(int index, int depth)
{
	struct epoll *all = epolls.at, *inner = all + index;
	int thread = inner->thread;

	if (thread != NOBODY || depth == 4)
		return thread;
	each (struct entry, e, &entries)
		if (all[e->epoll].pid == inner->pid && e->target == inner->fd &&
		    e->epoll != index) {
			int outer = epoll_thread(e->epoll, depth + 1);

			if (outer == SEVERAL)
				return SEVERAL;
			if (outer != NOBODY)
				seen(&thread, outer);
		}
	return thread;
}

static int only_thread(pid_t pid)
{
	int found = NOBODY;

	each (struct thread, t, &threads)
		if (t->pid == pid)
			seen(&found, t - (struct thread *)threads.at);
	return found;
}

/* What needs no look at the threads: which connections are in an epoll instance, and which belong
 * to a process of one thread. */
static void mark(void)
{
	each (struct leg, leg, &legs) {
		leg->thread = only_thread(leg->pid);
		if (leg->thread == SEVERAL)
			leg->thread = NOBODY;
		each_entry (e, leg->ino) {
			struct epoll *epoll = (struct epoll *)epolls.at + e->epoll;

			if (e->device != leg->device || epoll->pid != leg->pid)
				continue;
			leg->in_epoll = leg->watched = true;
			epoll->wanted |= leg->thread == NOBODY;
		}
	}
}

static bool everything_seen(void)
{
	each (struct epoll, e, &epolls)
		if (e->wanted && epoll_thread(e - (struct epoll *)epolls.at, 0) == NOBODY)
			return false;
	each (struct leg, leg, &legs)
		if (!leg->in_epoll && leg->thread == NOBODY)
			return false;
	return true;
}

/* Several rounds even when all is seen at once: a second thread on one instance shows later. */
static void sample(void)
{
	const struct timespec pause = {.tv_nsec = ROUND_MS * 1000000L};

	for (int round = 0;
	     round < ROUNDS_MIN || (round < opt.wait_ms / ROUND_MS && !everything_seen());
	     round++) {
		for (size_t i = 0; i < threads.count; i++)
			sample_thread(i);
		nanosleep(&pause, NULL);
	}
}

static void find_thread(struct leg *leg)
{
	if (leg->thread != NOBODY)
		return;
	each_entry (e, leg->ino) {
		struct epoll *epoll = (struct epoll *)epolls.at + e->epoll;
		int thread;

		if (e->device != leg->device || epoll->pid != leg->pid)
			continue;
		thread = epoll_thread(e->epoll, 0);
		if (thread < 0 || (leg->thread != NOBODY && leg->thread != thread))
			thread = SEVERAL;
		leg->thread = thread;
	}
}

static int compare_leg(const void *a, const void *b)
{
	const struct leg *x = a, *y = b;

	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return y->watched - x->watched; /* who watches it comes first */
}

/* A connection held by several processes (across a fork, while handed over) counts once: for the
 * one that watches it, for nobody if several do, or none. */
static void merge_holders(void)
{
	struct leg *all = legs.at;
	size_t kept = 0;

	if (legs.count)
		qsort(legs.at, legs.count, sizeof(struct leg), compare_leg);
	for (size_t i = 0; i < legs.count; i++) {
		struct leg *last = kept ? &all[kept - 1] : NULL;

		if (!last || last->ino != all[i].ino)
			all[kept++] = all[i];
		else if (last->watched == all[i].watched && last->thread != all[i].thread)
			last->thread = SEVERAL;
	}
	legs.count = kept;
}

static void judge(struct leg *leg)
{
	struct thread *t = leg->thread >= 0 ? (struct thread *)threads.at + leg->thread : NULL;

	if (!t || leg->packet_cpu < 0)
		leg->verdict = UNKNOWN;
	else if (!pinned(t))
		leg->verdict = UNPINNED;
	else
		leg->verdict = CPU_ISSET(leg->packet_cpu, &t->mask) ? ALIGNED : MISALIGNED;
	if (t) {
		t->legs[leg->kind]++;
		t->aligned[leg->kind] += leg->verdict == ALIGNED;
	}
}

/* --- the report -------------------------------------------------------------------------- */

/* The columns of the table: every mask that serves a connection, told by its text. */
static struct list masks = {.size = sizeof(const char *)};

static int mask_column(const char *text)
{
	each (const char *, known, &masks)
		if (!strcmp(*known, text))
			return known - (const char **)masks.at;
	*(const char **)grow(&masks) = text;
	return masks.count - 1;
}

static const char *leg_mask(const struct leg *leg)
{
	return leg->thread >= 0 ? ((struct thread *)threads.at)[leg->thread].mask_text : "?";
}

static int compare_mask(const void *a, const void *b)
{
	return strverscmp(*(const char *const *)a, *(const char *const *)b);
}

struct tally {
	unsigned int total, verdict[VERDICTS];
	unsigned int *cell; /* [packet CPU + 1][mask column] */
};

static int packet_rows = 1; /* -1 (none yet), 0, 1 .. */

static struct tally tally(unsigned int kinds)
{
	struct tally t = {.cell = calloc((size_t)packet_rows * masks.count + 1, sizeof(int))};

	if (!t.cell)
		abort();
	each (struct leg, leg, &legs) {
		if (!(kinds & 1u << leg->kind))
			continue;
		t.total++;
		t.verdict[leg->verdict]++;
		t.cell[(leg->packet_cpu + 1) * masks.count + mask_column(leg_mask(leg))]++;
	}
	return t;
}

static double share(const struct tally *t)
{
	return t->total ? 100.0 * t->verdict[ALIGNED] / t->total : 0;
}

static unsigned int row_sum(const struct tally *t, int row)
{
	unsigned int sum = 0;

	for (size_t column = 0; column < masks.count; column++)
		sum += t->cell[row * masks.count + column];
	return sum;
}

static void tally_text(const char *title, const struct tally *t)
{
	printf("%s: %u connections, %u aligned (%.1f %%)", title, t->total, t->verdict[ALIGNED],
	       share(t));
	for (int v = MISALIGNED; v < VERDICTS; v++)
		printf(", %u %s", t->verdict[v], verdict_names[v]);
	printf("\n");
	if (!t->total)
		return;
	printf("  packets on CPU | served by a thread on CPUs\n%16s |", "");
	each (const char *, mask, &masks)
		printf(" %7s", *mask);
	printf("\n");
	for (int row = 0; row < packet_rows; row++) {
		if (!row_sum(t, row))
			continue;
		printf("%16d |", row - 1);
		for (size_t column = 0; column < masks.count; column++)
			printf(" %7u", t->cell[row * masks.count + column]);
		printf("\n");
	}
}

static void tally_json(const struct tally *t)
{
	const char *comma = "";

	printf("\"total\":%u", t->total);
	for (int v = 0; v < VERDICTS; v++)
		printf(",\"%s\":%u", verdict_names[v], t->verdict[v]);
	printf(",\"share\":%.1f,\"table\":{", share(t));
	for (int row = 0; row < packet_rows; row++) {
		const char *inner = "";

		if (!row_sum(t, row))
			continue;
		printf("%s\"%d\":{", comma, row - 1);
		for (size_t column = 0; column < masks.count; column++) {
			printf("%s\"%s\":%u", inner, ((const char **)masks.at)[column],
			       t->cell[row * masks.count + column]);
			inner = ",";
		}
		printf("}");
		comma = ",";
	}
	printf("}");
}

/* A proxy's session is an accepted leg and an upstream one in the same thread; which belongs to
 * which cannot be seen from outside. So bounds: with S sessions in a thread, a and u of their legs
 * aligned, at least a + u - S sessions have both aligned, at most the smaller of the two. */
static void sessions(unsigned int *total, unsigned int *least, unsigned int *most)
{
	*total = *least = *most = 0;
	each (struct thread, t, &threads) {
		unsigned int in = t->legs[ACCEPTED], out = t->legs[UPSTREAM];
		unsigned int all = in > out ? in : out;
		unsigned int a = t->aligned[ACCEPTED], u = t->aligned[UPSTREAM];

		*total += all;
		*least += a + u > all ? a + u - all : 0;
		*most += a < u ? a : u;
	}
}

static void address_format(const struct sockaddr_storage *a, char *out, size_t size)
{
	char ip[INET6_ADDRSTRLEN] = "?";

	if (a->ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)a)->sin6_addr, ip, sizeof(ip));
		snprintf(out, size, "[%s]:%d", ip, port_of(a));
	} else {
		inet_ntop(AF_INET, &((const struct sockaddr_in *)a)->sin_addr, ip, sizeof(ip));
		snprintf(out, size, "%s:%d", ip, port_of(a));
	}
}

static void print_legs(void)
{
	printf("#pid tid fd kind local remote packet_cpu thread_mask verdict\n");
	each (struct leg, leg, &legs) {
		struct thread *t =
			leg->thread >= 0 ? (struct thread *)threads.at + leg->thread : NULL;
		char local[64], remote[64];

		address_format(&leg->local, local, sizeof(local));
		address_format(&leg->remote, remote, sizeof(remote));
		printf("%d %d %d %s %s %s %d %s %s\n", leg->pid, t ? t->tid : 0, leg->fd,
		       kind_names[leg->kind], local, remote, leg->packet_cpu, leg_mask(leg),
		       verdict_names[leg->verdict]);
	}
}

static void report(void)
{
	struct tally all, part[KINDS];
	unsigned int total, least, most;

	each (struct leg, leg, &legs) {
		mask_column(leg_mask(leg));
		if (leg->packet_cpu + 2 > packet_rows)
			packet_rows = leg->packet_cpu + 2;
	}
	if (masks.count)
		qsort(masks.at, masks.count, masks.size, compare_mask);
	all = tally(~0u);
	for (int kind = 0; kind < KINDS; kind++)
		part[kind] = tally(1u << kind);
	sessions(&total, &least, &most);

	if (opt.json) {
		printf("{");
		tally_json(&all);
		for (int kind = 0; kind < KINDS; kind++) {
			printf(",\"%s\":{", kind_names[kind]);
			tally_json(&part[kind]);
			printf("}");
		}
		printf(",\"sessions\":{\"total\":%u,\"aligned_least\":%u,\"aligned_most\":%u}}\n",
		       total, least, most);
		return;
	}
	if (opt.list)
		print_legs();
	for (int kind = 0; kind < KINDS; kind++)
		if (part[kind].total || (kind == UPSTREAM ? opt.upstreams : opt.listens))
			tally_text(kind_names[kind], &part[kind]);
	if (opt.sessions)
		printf("sessions: %u, both legs aligned in %u to %u\n", total, least, most);
}

/* --- options ----------------------------------------------------------------------------- */

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
	int option, online = sysconf(_SC_NPROCESSORS_ONLN);

	for (int cpu = 0; cpu < online; cpu++)
		CPU_SET(cpu, &opt.cpus);
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
		*(pid_t *)grow(&pids) = number(argv[i], 1 << 22);
}

int main(int argc, char **argv)
{
	parse_options(argc, argv);
	if (!opt.only)
		add_descendants();
	each (pid_t, pid, &pids) {
		walk_threads(*pid);
		walk_descriptors(*pid);
	}
	if (entries.count)
		qsort(entries.at, entries.count, entries.size, compare_entry);
	select_legs();
	mark();
	sample();
	each (struct leg, leg, &legs)
		find_thread(leg);
	merge_holders();
	each (struct leg, leg, &legs)
		judge(leg);
	report();
	if (!threads.count) {
		fprintf(stderr, "observe: no such process\n");
		return 1;
	}
	return 0;
}
