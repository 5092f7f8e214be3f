#include "shim/kernel/procfs.h"
#include "shim/kernel/sys.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

struct path path_of(const char *start)
{
	struct path path = {.len = 0};

	path_add(&path, start);
	return path;
}

void path_add(struct path *path, const char *text)
{
	size_t more = strlen(text);

	if (path->len >= sizeof(path->text))
		return;
	if (more >= sizeof(path->text) - path->len) {
		path->text[0] = '\0';
		path->len = sizeof(path->text); /* stays unusable, whatever is added */
		return;
	}
	memcpy(path->text + path->len, text, more + 1);
	path->len += more;
}

void path_add_number(struct path *path, unsigned number)
{
	char digits[12];
	char *at = digits + sizeof(digits) - 1;

	*at = '\0';
	do {
		*--at = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	path_add(path, at);
}

static int open_text(int dir, const char *path)
{
	return dir < 0 ? dir : (int)sys(SYS_openat, dir, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
}

int procfs_read(int dir, const char *path, char *text, size_t size)
{
	int fd = open_text(dir, path);
	size_t used = 0;
	long got;

	text[0] = '\0';
	if (fd < 0)
		return fd;
	/* One read returns a whole small file; only longer ones need more. */
	do {
		got = sys(SYS_read, fd, text + used, size - 1 - used);
		if (got > 0)
			used += (size_t)got;
	} while ((got > 0 && used < size - 1 && text[used - 1] != '\n') || got == -EINTR);
	sys(SYS_close, fd);
	text[used] = '\0';
	return got < 0 ? (int)got : (int)used;
}

int procfs_read_at(int dir, const struct path *path, char *text, size_t size)
{
	return procfs_read(dir, path->text, text, size);
}

int procfs_open(int dir, const struct path *path)
{
	if (dir < 0)
		return dir;
	return (int)sys(SYS_openat, dir, path->text, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

int procfs_feed(int dir, const char *path, procfs_feed_fn feed, void *context)
{
	char chunk[1024]; /* on the stack of an application's thread */
	int fd = open_text(dir, path);
	long got;

	if (fd < 0)
		return fd;
	do {
		got = sys(SYS_read, fd, chunk, sizeof(chunk));
		if (got > 0)
			feed(context, chunk, (size_t)got);
	} while (got > 0 || got == -EINTR);
	sys(SYS_close, fd);
	return (int)got;
}

int procfs_number(int dir, const struct path *path, long *value)
{
	char text[32];
	int got = procfs_read_at(dir, path, text, sizeof(text));

	if (got < 0)
		return got;
	return number_parse(text, (size_t)got, value) ? 0 : -EBADMSG;
}

/* Gone by in pieces that end at a comma: a list of every second of 1024 CPUs is 2.5 KB long. */
struct cpu_list {
	cpu_set_t *cpus;
	size_t len;
	bool bad;
	char text[256];
};

static void take_piece(struct cpu_list *list, size_t len)
{
	cpu_set_t piece;

	list->bad |= !cpu_list_parse(list->text, len, &piece);
	CPU_OR(list->cpus, list->cpus, &piece);
}

static void feed_list(void *context, const char *text, size_t len)
{
	struct cpu_list *list = context;

	for (size_t i = 0; i < len && !list->bad; i++) {
		/* So that the rest of it has room. */
		if (text[i] == ',' && list->len > sizeof(list->text) / 2) {
			take_piece(list, list->len);
			list->len = 0;
		} else if (list->len < sizeof(list->text)) {
			list->text[list->len++] = text[i];
		} else {
			list->bad = true;
		}
	}
}

int procfs_cpu_list(int dir, const struct path *path, cpu_set_t *cpus)
{
	struct cpu_list list = {.cpus = cpus};

	CPU_ZERO(cpus);
	int error = procfs_feed(dir, path->text, feed_list, &list);
	if (error < 0)
		return error;
	take_piece(&list, list.len);
	if (!list.bad)
		return 0;
	CPU_ZERO(cpus);
	return -EBADMSG;
}

int procfs_cpu_mask(int dir, const struct path *path, cpu_set_t *cpus)
{
	char text[CPU_SETSIZE / 32 * 9 * 4 +
		  1]; /* a word and a comma of 9 characters for 32 CPUs */
	int got = procfs_read_at(dir, path, text, sizeof(text));

	CPU_ZERO(cpus);
	if (got < 0)
		return got;
	if (got == (int)sizeof(text) - 1)
		return -EMSGSIZE;
	return cpu_mask_parse(text, (size_t)got, cpus) ? 0 : -EBADMSG;
}

int procfs_list(int dir, const struct path *path, procfs_entry_fn entry, void *context)
{
	_Alignas(struct dirent64) char buffer[1024];
	bool more = true;
	long got;
	long fd;

	if (dir < 0)
		return dir;
	fd = sys(SYS_openat, dir, path->text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return (int)fd;
	while (more && (got = sys(SYS_getdents64, fd, buffer, sizeof(buffer))) > 0) {
		for (long at = 0; more && at < got;) {
			const struct dirent64 *found = (const void *)(buffer + at);

			at += found->d_reclen;
			if (strcmp(found->d_name, ".") && strcmp(found->d_name, ".."))
				more = entry(context, found->d_name);
		}
	}
	sys(SYS_close, fd);
	return more && got < 0 ? (int)got : 0;
}

static bool is_end(const char *text, size_t len, size_t at)
{
	return at >= len || text[at] == '\0' || text[at] == '\n' || text[at] == ' ' ||
	       text[at] == '\t';
}

/* Digits from *at on; false when there are none or too many. */
static bool digits_parse(const char *text, size_t len, size_t *at, unsigned long *value)
{
	size_t start = *at;

	*value = 0;
	while (*at < len && text[*at] >= '0' && text[*at] <= '9' && *at - start < 18)
		*value = *value * 10 + (unsigned long)(text[(*at)++] - '0');
	return *at > start && !(*at < len && text[*at] >= '0' && text[*at] <= '9');
}

bool number_parse(const char *text, size_t len, long *value)
{
	bool negative = len && text[0] == '-';
	unsigned long found;
	size_t at = negative;

	if (!digits_parse(text, len, &at, &found) || !is_end(text, len, at))
		return false;
	*value = negative ? -(long)found : (long)found;
	return true;
}

bool cpu_list_parse(const char *text, size_t len, cpu_set_t *cpus)
{
	size_t at = 0;

	CPU_ZERO(cpus);
	if (is_end(text, len, at))
		return true;
	for (;;) {
		unsigned long first;
		unsigned long last;

		if (!digits_parse(text, len, &at, &first))
			break;
		last = first;
		if (at < len && text[at] == '-' && (at++, !digits_parse(text, len, &at, &last)))
			break;
		if (last < first)
			break;
		for (unsigned long cpu = first; cpu <= last && cpu < CPU_SETSIZE; cpu++)
			CPU_SET(cpu, cpus);
		if (is_end(text, len, at))
			return true;
		if (text[at++] != ',')
			break;
	}
	CPU_ZERO(cpus);
	return false;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool cpu_mask_parse(const char *text, size_t len, cpu_set_t *cpus)
{
	size_t end = 0;
	size_t word_start;
	unsigned bit = 0;

	CPU_ZERO(cpus);
	while (!is_end(text, len, end))
		end++;
	word_start = end;
	/* From the right: the first word may be shorter than eight digits, no other may. */
	for (size_t at = end; at-- > 0;) {
		int digit = hex_digit(text[at]);

		if (digit < 0) {
			if (text[at] != ',' || word_start - at - 1 != 8)
				goto bad;
			word_start = at;
			continue;
		}
		if (word_start - at > 8)
			goto bad;
		for (int i = 0; i < 4; i++)
			if (digit >> i & 1 && bit + (unsigned)i < CPU_SETSIZE)
				CPU_SET(bit + (unsigned)i, cpus);
		bit += 4;
	}
	if (bit && word_start)
		return true;
bad:
	CPU_ZERO(cpus);
	return false;
}

int cpu_set_next(const cpu_set_t *cpus, int from)
{
	const int bits = 8 * (int)sizeof(cpus->__bits[0]);

	while (from < CPU_SETSIZE) {
		unsigned long word = (unsigned long)cpus->__bits[from / bits] >> (from % bits);

		if (word)
			return from + __builtin_ctzl(word);
		from += bits - from % bits;
	}
	return -1;
}

int cpu_set_single(const cpu_set_t *cpus)
{
	int first = cpu_set_next(cpus, 0);

	return first >= 0 && cpu_set_next(cpus, first + 1) < 0 ? first : -1;
}

bool thread_runs(int proc, int pid, int tid)
{
	struct path path = path_of("");
	char text[64];

	path_add_number(&path, (unsigned)pid);
	path_add(&path, "/task/");
	path_add_number(&path, (unsigned)tid);
	path_add(&path, "/stat");
	/* "7 (name) R ...": the name may hold anything, and is at most 15 bytes long. */
	if (procfs_read_at(proc, &path, text, sizeof(text)) < 0)
		return true;
	const char *end = strrchr(text, ')');
	return !end || end[1] != ' ' || end[2] == 'R' || !end[2];
}

uint32_t procfs_pid_space(int proc)
{
	struct stat space;

	if (proc < 0 || sys(SYS_newfstatat, proc, "self/ns/pid", &space, 0) < 0)
		return 0;
	return (uint32_t)space.st_ino; /* of nsfs, whose numbers have 32 bits */
}
