#include "shim/policy/start.h"
#include "shim/kernel/format.h"
#include "shim/kernel/sys.h"
#include "shim/policy/show.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>

static const char *error_text(int error)
{
	switch (-error) {
	case ENOENT:
		return "no such file";
	case EACCES:
		return "permission denied";
	case EISDIR:
		return "a directory";
	case ENOMEM:
		return "out of memory";
	default:
		return "cannot be read";
	}
}

static const char *untrusted(const struct stat *st)
{
	uid_t self = (uid_t)sys(SYS_geteuid);

	if (st->st_uid != 0 && st->st_uid != self)
		return "refused, its owner is neither root nor this program's user";
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return "refused, others than its owner may write it (chmod go-w)";
	return NULL;
}

static int read_open_file(int fd, bool only_trusted, struct policy_text *text, const char **wrong)
{
	struct stat st;
	long got = sys(SYS_fstat, fd, &st);

	if (got == 0 && S_ISDIR(st.st_mode))
		got = -EISDIR;
	*wrong = got == 0 && only_trusted ? untrusted(&st) : NULL;
	if (*wrong)
		return -EPERM;
	while (got >= 0) {
		/* The buffer has room for a byte more than is allowed. */
		got = sys(SYS_read, fd, text->text + text->size, POLICY_FILE_MAX + 1 - text->size);
		if (got == -EINTR) {
			got = 0;
			continue;
		}
		if (got <= 0)
			break;
		text->size += (size_t)got;
		if (text->size > POLICY_FILE_MAX) {
			*wrong = "larger than 1048576 bytes";
			return -EFBIG;
		}
	}
	if (got < 0)
		*wrong = error_text((int)got);
	return (int)got;
}

int policy_text_read(const char *path, bool only_trusted, struct policy_text *text,
		     const char **wrong)
{
	/* Not blocking: the path could be a pipe that nobody writes to. */
	int fd = (int)sys(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	*text = (struct policy_text){0};
	if (fd < 0) {
		*wrong = error_text(fd);
		return fd;
	}
	long map = sys(SYS_mmap, NULL, POLICY_FILE_MAX + 1, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int error = -ENOMEM;
	if (map < 0 && map > -4096) {
		*wrong = error_text(error);
	} else {
		text->text = (char *)map;
		error = read_open_file(fd, only_trusted, text, wrong);
		if (error < 0)
			policy_text_release(text);
	}
	sys(SYS_close, fd);
	return error;
}

void policy_text_release(struct policy_text *text)
{
	if (text->text)
		sys(SYS_munmap, text->text, POLICY_FILE_MAX + 1);
	*text = (struct policy_text){0};
}

static const char *variable(char *const *environment, const char *name)
{
	size_t len = strlen(name);

	for (; environment && *environment; environment++)
		if (strncmp(*environment, name, len) == 0 && (*environment)[len] == '=')
			return *environment + len + 1;
	return NULL;
}

struct start {
	char path[POLICY_PATH_MAX];
	struct policy_text text;
	const char *named;   /* RSSSHIM_CONF */
	const char *refused; /* why the file at path is not used; NULL: used, or there is none */
};

/* Whether the search ends here: the file is there, usable or not. */
static bool try_path(struct start *start)
{
	bool powerful = sys(SYS_geteuid) == 0 || getauxval(AT_SECURE);
	const char *wrong;
	int error = policy_text_read(start->path, powerful, &start->text, &wrong);

	if (error == -ENOENT || error == -ENOTDIR)
		return false;
	if (error < 0)
		start->refused = wrong;
	return true;
}

static void find_file(struct start *start, const char *program)
{
	const char *slash = strrchr(program, '/');
	size_t size = sizeof(start->path);

	if (start->named) {
		if (strlen(start->named) >= size)
			start->refused = "the path is too long";
		format_text(start->path, size, "%s", start->named);
		if (!start->refused && !try_path(start))
			start->refused = error_text(-ENOENT);
		return;
	}
	format_text(start->path, size, POLICY_DIRECTORY "/%s.ini", slash ? slash + 1 : program);
	if (try_path(start))
		return;
	format_text(start->path, size, POLICY_DIRECTORY "/default.ini");
	try_path(start);
}

static void count_line(void *context, enum log_level level, const char *line)
{
	(void)level, (void)line;
	++*(unsigned *)context;
}

static void log_line(void *context, enum log_level level, const char *line)
{
	(void)context;
	log_write(level, "%s", line);
}

/* At level info: what differs from the defaults, and where that came from. */
static void log_entry(const struct policy_entry *entry, void *context)
{
	char name[64], value[400], origin[POLICY_PATH_MAX];

	(void)context;
	if (entry->origin.kind == FROM_DEFAULT)
		return;
	policy_show_name(entry, name, sizeof(name));
	policy_show_value(entry, value, sizeof(value));
	policy_show_origin(entry, origin, sizeof(origin));
	log_info("%s = %s (%s)", name, value, origin);
}

void policy_start(struct policy *policy, char *const *environment, const char *program)
{
	struct start start = {0};
	struct policy_source source = {
		.environment = getauxval(AT_SECURE) ? NULL : environment,
	};
	unsigned lines = 0;

	const char *disable = variable(source.environment, "RSSSHIM_DISABLE");
	if (disable && *disable && strcmp(disable, "0") != 0) {
		policy_load(policy, &source, NULL, NULL);
		return;
	}
	start.named = variable(source.environment, "RSSSHIM_CONF");
	if (start.named && !*start.named)
		start.named = NULL;
	find_file(&start, program);
	if (start.text.text) {
		source.file = start.path;
		source.text = start.text.text;
		source.size = start.text.size;
	}
	/* Twice where something is wrong: what to say is known only after where to say it. */
	policy_load(policy, &source, count_line, &lines);
	int error = log_open(policy->shim_log, policy->shim_log_file.text);
	if (start.refused)
		log_warn("%s: %s; running with defaults", start.path, start.refused);
	if (lines)
		policy_load(policy, &source, log_line, NULL);
	if (error < 0)
		log_warn("log_file %s: %s; using standard error", policy->shim_log_file.text,
			 error_text(error));
	policy_text_release(&start.text);
	if (log_wants(LOG_LEVEL_INFO))
		policy_visit(policy, log_entry, NULL);
}
