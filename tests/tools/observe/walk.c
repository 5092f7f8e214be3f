/* Reads /proc: processes, their threads, sockets and epoll instances. */
#include "observe.h"
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

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
	each (pid_t, known, &scene.pids)
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
void walk_descendants(void)
{
	size_t before;

	do {
		DIR *proc = opendir("/proc");
		pid_t pid;

		before = scene.pids.count;
		while ((pid = next_number(proc)) >= 0)
			if (!known_pid(pid) && known_pid(parent_of(pid)))
				*(pid_t *)list_add(&scene.pids) = pid;
		closedir(proc);
	} while (scene.pids.count > before);
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
		*(struct thread *)list_add(&scene.threads) = t;
	}
	if (dir)
		closedir(dir);
}

/* --- descriptors ------------------------------------------------------------------------- */

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
		*(int *)list_add(&scene.listening) = port_of(&leg.local);
	if (info.tcpi_state != TCP_ESTABLISHED ||
	    getpeername(copy, (struct sockaddr *)&leg.remote, &remote))
		goto out;
	leg.ino = status.st_ino;
	leg.device = major(status.st_dev) << 20 | minor(status.st_dev);
	leg.packet_cpu = int_option(copy, SOL_SOCKET, SO_INCOMING_CPU);
	*(struct leg *)list_add(&scene.legs) = leg;
out:
	close(copy);
}

static void add_epoll(pid_t pid, int fd)
{
	struct epoll *e = list_add(&scene.epolls);
	char path[64], line[256];
	struct entry entry = {.epoll = scene.epolls.count - 1};
	unsigned int events;
	FILE *f;

	*e = (struct epoll){.pid = pid, .fd = fd, .thread = NOBODY};
	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", pid, fd);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "tfd: %d events: %x data: %*x pos:%*i ino:%lx sdev:%x",
			   &entry.target, &events, &entry.ino, &entry.device) != 4)
			continue;
		entry.interested = events & (EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP);
		*(struct entry *)list_add(&scene.entries) = entry;
	}
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

static bool has(const int *ports, int count, int port)
{
	for (int i = 0; i < count; i++)
		if (ports[i] == port)
			return true;
	return false;
}

/* Keeps the connections that were asked for. Without a port, all: those on a port somebody in the
 * tree listens on were accepted. */
static void select_legs(void)
{
	size_t kept = 0;

	each (struct leg, leg, &scene.legs) {
		int local = port_of(&leg->local), remote = port_of(&leg->remote);

		if (opt.listens + opt.upstreams == 0)
			leg->kind = has(scene.listening.at, scene.listening.count, local)
					    ? ACCEPTED
					    : UPSTREAM;
		else if (has(opt.listen, opt.listens, local))
			leg->kind = ACCEPTED;
		else if (has(opt.upstream, opt.upstreams, remote))
			leg->kind = UPSTREAM;
		else
			continue;
		((struct leg *)scene.legs.at)[kept++] = *leg;
	}
	scene.legs.count = kept;
}

static int compare_entry(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

void walk(void)
{
	each (pid_t, pid, &scene.pids) {
		walk_threads(*pid);
		walk_descriptors(*pid);
	}
	if (scene.entries.count)
		qsort(scene.entries.at, scene.entries.count, scene.entries.size, compare_entry);
	select_legs();
}
