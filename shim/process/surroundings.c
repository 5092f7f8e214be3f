#include "shim/process/surroundings.h"
#include "shim/kernel/sys.h"
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#define KEPT_BYTES 32768
#define INHERIT    "RSSSHIM_INHERIT="
#define PRELOAD    "LD_PRELOAD="

static char bytes[KEPT_BYTES];
static size_t bytes_used;
static char *kept[SURROUNDINGS_KEPT_MAX];
static int kept_count;
static const char *inherited;
static const char *preload; /* what LD_PRELOAD calls this library */
static char own_path[PATH_MAX];
static const char *library;
static dev_t library_device;
static ino_t library_inode;

static bool starts_with(const char *text, const char *start)
{
	return !strncmp(text, start, strlen(start));
}

static char *keep_joined(const char *start, const char *text, size_t length)
{
	size_t before = strlen(start);

	if (before + length >= KEPT_BYTES - bytes_used)
		return NULL;
	char *copy = memcpy(bytes + bytes_used, start, before);
	memcpy(copy + before, text, length);
	copy[before + length] = '\0';
	bytes_used += before + length + 1;
	return copy;
}

static char *keep_text(const char *text)
{
	return keep_joined("", text, strlen(text));
}

/* entry: NULL where there was no room. */
static void keep_variable(char *entry)
{
	if (entry && kept_count < SURROUNDINGS_KEPT_MAX)
		kept[kept_count++] = entry;
}

static bool is_named(const char *path, size_t length, const char *name)
{
	size_t wanted = strlen(name);

	return length >= wanted && !memcmp(path + length - wanted, name, wanted) &&
	       (length == wanted || path[length - wanted - 1] == '/');
}

/* This library alone: whether others that were preloaded beside it come back is the application's
 * to say. */
static void keep_preload(const char *value)
{
	const char *slash = library ? strrchr(library, '/') : NULL;
	const char *name = slash ? slash + 1 : "librssshim.so";
	size_t length;

	for (; *(value += strspn(value, " :")); value += length) {
		length = strcspn(value, " :");
		if (preload || !is_named(value, length, name))
			continue;
		char *entry = keep_joined(PRELOAD, value, length);
		keep_variable(entry);
		preload = entry ? entry + strlen(PRELOAD) : NULL;
	}
}

/* As the loader would, by its rights. */
static bool stat_library(struct stat *status)
{
	int fd = library ? (int)sys(SYS_openat, AT_FDCWD, library, O_RDONLY | O_CLOEXEC) : -1;

	if (fd < 0)
		return false;
	long ret = sys(SYS_fstat, fd, status);
	sys(SYS_close, fd);
	return !ret;
}

void surroundings_start(char **environment, const char *path)
{
	struct stat status;
	char **to = environment;
	long length = sys(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", own_path, PATH_MAX - 1);

	own_path[length > 0 ? length : 0] = '\0';
	library = path ? keep_text(path) : NULL;
	if (stat_library(&status)) {
		library_device = status.st_dev;
		library_inode = status.st_ino;
	}
	for (char **from = environment; from && *from; from++) {
		if (starts_with(*from, INHERIT)) {
			const char *copy = keep_text(*from);
			inherited = copy ? copy + strlen(INHERIT) : NULL;
			continue;
		}
		if (starts_with(*from, PRELOAD))
			keep_preload(*from + strlen(PRELOAD));
		else if (starts_with(*from, "RSSSHIM_"))
			keep_variable(keep_text(*from));
		*to++ = *from;
	}
	if (to)
		*to = NULL;
}

const char *surroundings_inherited(void)
{
	return inherited;
}

bool surroundings_is_own_program(const char *path)
{
	const char *name = strrchr(own_path, '/');

	if (!name)
		return false;
	/* Found over PATH, or by another name of its directory: the name has to do. An upgrade puts
	 * another file in the place of the running one, which the kernel then calls deleted. */
	const char *slash = strrchr(path, '/');
	const char *wanted = slash ? slash + 1 : path;
	size_t length = strlen(wanted);
	return length && !strncmp(name + 1, wanted, length) &&
	       (!name[1 + length] || !strcmp(name + 1 + length, " (deleted)"));
}

static const char *value_in(char *const *environment, const char *name, size_t length)
{
	for (; environment && *environment; environment++)
		if (!strncmp(*environment, name, length) && (*environment)[length] == '=')
			return *environment + length + 1;
	return NULL;
}

bool surroundings_preloads(char *const *environment)
{
	const char *now = value_in(environment, PRELOAD, strlen(PRELOAD) - 1);

	return now && (preload ? !!strstr(now, preload) : !!strstr(now, "librssshim.so"));
}

bool surroundings_has_library(void)
{
	struct stat status;

	return stat_library(&status) && status.st_dev == library_device &&
	       status.st_ino == library_inode;
}

int surroundings_kept(void)
{
	return kept_count;
}

int surroundings_copy(char *const *environment, bool restore, char **out, int room)
{
	int count = 0;

	for (char *const *entry = environment; entry && *entry; entry++) {
		if (count == room - 1)
			return -1;
		out[count++] = *entry;
	}
	for (int i = 0; restore && i < kept_count; i++) {
		const char *equals = strchr(kept[i], '=');
		if (!equals || value_in(environment, kept[i], (size_t)(equals - kept[i])))
			continue;
		if (count == room - 1)
			return -1;
		out[count++] = kept[i];
	}
	out[count] = NULL;
	return count;
}
