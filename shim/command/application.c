#include "shim/command/application.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Linux 5.6; older headers do not have it. The number is the same everywhere. */
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

/* What the kernel calls it in /proc/PID/fd. */
#define MEMORY_LINK "/memfd:" STAT_MEMORY_NAME " (deleted)"

void application_free(struct application *app)
{
	if (app->memory >= 0)
		close(app->memory);
	free(app->pids);
	free(app->copy);
}

/* One application, one inode. */
struct memory {
	dev_t device;
	ino_t inode;
};

struct search {
	struct application *list;
	size_t count;
	bool for_writing;
};

static bool is_memory(int fds, const char *number, const char *wanted)
{
	char link[64];
	ssize_t len = readlinkat(fds, number, link, sizeof(link));

	return len == (ssize_t)strlen(wanted) && memcmp(link, wanted, (size_t)len) == 0;
}

/* Whether a process has counters, from its mappings: there are fewer of them than descriptors.
 * Returns false with errno; ENOENT: it has none. */
static bool mapped_memory(pid_t pid, struct memory *memory)
{
	char path[64], line[PATH_MAX + 128];
	unsigned major, minor;
	unsigned long inode;
	bool found = false;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	FILE *maps = fopen(path, "r");
	if (!maps)
		return false;
	while (!found && fgets(line, sizeof(line), maps))
		found = strstr(line, MEMORY_LINK) &&
			sscanf(line, "%*s %*s %*s %x:%x %lu", &major, &minor, &inode) == 3;
	fclose(maps);
	if (found)
		*memory = (struct memory){.device = makedev(major, minor), .inode = inode};
	errno = ENOENT;
	return found;
}

/* The descriptor number of a memory in a process. Returns -1 with errno; ENOENT: it has none.
 * Ours are the high numbers, so the last that is found is it. */
static int memory_number(pid_t pid, const char *link)
{
	char path[64];
	int number = -1;
	struct dirent *entry;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	DIR *fds = opendir(path);
	if (!fds)
		return -1;
	while ((entry = readdir(fds)))
		if (isdigit((unsigned char)entry->d_name[0]) &&
		    is_memory(dirfd(fds), entry->d_name, link))
			number = atoi(entry->d_name);
	closedir(fds);
	errno = ENOENT;
	return number;
}

/* Duplicating it asks nothing of a file system that the process may have made up; but where the
 * kernel restricts ptrace, only opening is allowed to a user's other processes. */
static int open_memory(pid_t pid, int number, bool for_writing)
{
	char path[64];
	int process = (int)syscall(SYS_pidfd_open, pid, 0);
	int fd = process < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, process, number, 0);

	if (process >= 0)
		close(process);
	if (fd < 0) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, number);
		fd = open(path,
			  (for_writing ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	}
	/* Only memory can be sealed. */
	if (fd >= 0 && fcntl(fd, F_GET_SEALS) < 0) {
		close(fd);
		errno = ENOENT;
		return -1;
	}
	return fd;
}

static bool has_pid(const struct application *app, pid_t pid)
{
	for (size_t i = 0; i < app->count; i++)
		if (app->pids[i] == pid)
			return true;
	return false;
}

static bool add_pid(struct application *app, pid_t pid)
{
	pid_t *more = realloc(app->pids, (app->count + 1) * sizeof(*more));

	if (!more)
		return false;
	app->pids = more;
	app->pids[app->count++] = pid;
	return true;
}

static struct application *add_application(struct search *search, const struct memory *memory,
					   int fd)
{
	struct application *more =
		realloc(search->list, (search->count + 1) * sizeof(*search->list));

	if (!more)
		return NULL;
	search->list = more;
	struct application *app = &more[search->count++];
	*app = (struct application){.device = memory->device, .inode = memory->inode, .memory = fd};
	return app;
}

static struct application *known(const struct search *search, const struct memory *memory)
{
	for (size_t i = 0; i < search->count; i++)
		if (search->list[i].device == memory->device &&
		    search->list[i].inode == memory->inode)
			return &search->list[i];
	return NULL;
}

static struct application *open_application(struct search *search, pid_t pid)
{
	int number = memory_number(pid, MEMORY_LINK);
	int fd = number < 0 ? -1 : open_memory(pid, number, search->for_writing);
	struct stat st;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) < 0) {
		close(fd);
		return NULL;
	}
	struct memory memory = {.device = st.st_dev, .inode = st.st_ino};
	struct application *app = known(search, &memory);
	if (app)
		close(fd);
	else
		app = add_application(search, &memory, fd);
	return app;
}

/* Notes what a process belongs to. Returns its application; NULL with errno where it has none. */
static struct application *look_at(struct search *search, pid_t pid)
{
	struct memory memory;
	struct application *app = NULL;

	if (!mapped_memory(pid, &memory))
		return NULL;
	app = known(search, &memory);
	if (!app)
		app = open_application(search, pid);
	if (app && !has_pid(app, pid) && !add_pid(app, pid)) {
		errno = ENOMEM;
		return NULL;
	}
	return app;
}

static pid_t parent_of(pid_t pid)
{
	char path[64], text[512];
	FILE *file;
	size_t len;
	int parent = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "r");
	if (!file)
		return 0;
	len = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[len] = '\0';
	/* Behind the name, which may hold anything: "STATE PARENT". */
	const char *behind = strrchr(text, ')');
	if (!behind || sscanf(behind, ") %*c %d", &parent) != 1)
		return 0;
	return parent;
}

static int by_number(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return (x > y) - (x < y);
}

static void find_root(struct application *app)
{
	qsort(app->pids, app->count, sizeof(*app->pids), by_number);
	app->root = app->pids[0];
	for (size_t i = 0; i < app->count; i++) {
		if (!has_pid(app, parent_of(app->pids[i]))) {
			app->root = app->pids[i];
			return;
		}
	}
}

static void look_at_all(struct search *search)
{
	DIR *processes = opendir("/proc");
	struct dirent *entry;

	while (processes && (entry = readdir(processes)))
		if (isdigit((unsigned char)entry->d_name[0]))
			look_at(search, atoi(entry->d_name));
	if (processes)
		closedir(processes);
	for (size_t i = 0; i < search->count; i++)
		find_root(&search->list[i]);
}

static bool has_library(pid_t pid)
{
	char path[64], line[512];
	bool mapped = false;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "r");
	while (maps && !mapped && fgets(line, sizeof(line), maps))
		mapped = strstr(line, "/librssshim.so") != NULL;
	if (maps)
		fclose(maps);
	return mapped;
}

static void explain_none(pid_t pid, int error, char *why, size_t size)
{
	if (error == EACCES || error == EPERM)
		snprintf(why, size,
			 "process %d: not permitted: it belongs to another user, or is protected",
			 pid);
	else if (kill(pid, 0) < 0 && errno == ESRCH)
		snprintf(why, size, "there is no process %d", pid);
	else if (error != ENOENT)
		snprintf(why, size, "process %d: %s", pid, strerror(error));
	else if (has_library(pid))
		snprintf(
			why, size,
			"process %d has the shim, but does not count: it is disabled there, or has "
			"made no TCP socket yet",
			pid);
	else
		snprintf(why, size, "process %d does not run under the shim", pid);
}

int applications_find(pid_t pid, bool for_writing, struct application **list, char *why,
		      size_t size)
{
	struct search search = {.for_writing = for_writing};

	*list = NULL;
	if (pid && !look_at(&search, pid)) {
		explain_none(pid, errno, why, size);
		return -1;
	}
	/* The wanted one stays the first. */
	look_at_all(&search);
	*list = search.list;
	if (!pid)
		return (int)search.count;
	for (size_t i = 1; i < search.count; i++)
		application_free(&search.list[i]);
	return 1;
}

void applications_free(struct application *list, int count)
{
	for (int i = 0; i < count; i++)
		application_free(&list[i]);
	free(list);
}

struct application application_take(struct application *entry)
{
	struct application taken = *entry;

	*entry = (struct application){.memory = -1};
	return taken;
}

bool application_same(const struct application *a, const struct application *b)
{
	return a->device == b->device && a->inode == b->inode;
}

/* Returns how many bytes there are, at most those of one of this version and one more. */
static size_t read_memory(const struct application *app)
{
	struct stat st;
	size_t got = 0, size = sizeof(*app->copy);
	ssize_t piece = 1;

	while (got < size && piece > 0) {
		piece = pread(app->memory, (char *)app->copy + got, size - got, (off_t)got);
		if (piece > 0)
			got += (size_t)piece;
	}
	return fstat(app->memory, &st) == 0 && st.st_size > (off_t)size ? size + 1 : got;
}

int application_read(struct application *app, char *why, size_t size)
{
	int error = -ENOMEM;

	if (!app->copy)
		app->copy = calloc(1, sizeof(*app->copy));
	if (app->copy)
		error = stat_check(app->copy, read_memory(app));
	if (error == -EPROTONOSUPPORT)
		snprintf(why, size, "process %d runs another version of the shim than this command",
			 app->root);
	else if (error)
		snprintf(why, size, "process %d: its memory of counters is damaged", app->root);
	return error ? -1 : 0;
}

int application_open_other(const struct application *app, const char *name)
{
	char link[64];

	snprintf(link, sizeof(link), "/memfd:%s (deleted)", name);
	int number = memory_number(app->root, link);
	return number < 0 ? -1 : open_memory(app->root, number, false);
}

const char *application_state(const struct application *app)
{
	if (app->copy->every == 1)
		return "observing";
	return app->copy->off ? "off" : "steering";
}
