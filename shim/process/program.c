#include "shim/process/program.h"
#include "shim/kernel/format.h"
#include "shim/kernel/sys.h"
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Interpreters of interpreters; the kernel stops there, too. */
#define SCRIPT_DEPTH  5
#define SEGMENTS_MAX  64
#define SCRIPT_LINE   256
#define PATH_WHEN_NOT "/bin:/usr/bin" /* glibc's, where the variable is not there */
#define PATH_PART_MAX 1024 /* on the stack of whoever calls exec; longer ones are not looked at */

#if defined(__x86_64__)
#define OUR_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define OUR_MACHINE EM_AARCH64
#endif

/* A descriptor of what can be executed, or -errno. */
static int open_file(const char *path)
{
	int fd = (int)sys(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat status;

	if (fd < 0 || (sys(SYS_fstat, fd, &status) == 0 && S_ISREG(status.st_mode) &&
		       status.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)))
		return fd;
	sys(SYS_close, fd);
	return -EACCES;
}

static int open_in_path(const char *file)
{
	const char *search = getenv("PATH");
	char path[PATH_PART_MAX];
	int fd = -ENOENT;

	for (search = search ? search : PATH_WHEN_NOT; fd < 0; search++) {
		size_t length = strcspn(search, ":");
		if (length + strlen(file) + 2 <= sizeof(path)) {
			memcpy(path, search, length);
			format_text(path + length, sizeof(path) - length, length ? "/%s" : "%s",
				    file);
			fd = open_file(path);
		}
		search += length;
		if (!*search)
			break;
	}
	return fd;
}

/* Then the loader ignores LD_PRELOAD (AT_SECURE). */
static bool is_privileged(int fd)
{
	struct stat status;

	return sys(SYS_fstat, fd, &status) < 0 || status.st_mode & (S_ISUID | S_ISGID) ||
	       (sys(SYS_geteuid) && sys(SYS_fgetxattr, fd, "security.capability", NULL, 0) > 0);
}

static bool has_loader(int fd, const Elf64_Ehdr *header)
{
	if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_machine != OUR_MACHINE ||
	    header->e_phentsize != sizeof(Elf64_Phdr))
		return false;
	for (unsigned i = 0; i < header->e_phnum && i < SEGMENTS_MAX; i++) {
		Elf64_Phdr segment;
		if (sys(SYS_pread64, fd, &segment, sizeof(segment),
			header->e_phoff + i * sizeof(segment)) != sizeof(segment))
			return false;
		if (segment.p_type == PT_INTERP)
			return true;
	}
	return false;
}

/* The interpreter of "#!interpreter [argument]", in line; NULL where it is too long or missing. */
static const char *interpreter(char line[SCRIPT_LINE], long length)
{
	char *name = line + 2;

	line[length < SCRIPT_LINE ? length : SCRIPT_LINE - 1] = '\0';
	name += strspn(name, " \t");
	size_t end = strcspn(name, " \t\r\n");
	if (!end || !name[end])
		return NULL;
	name[end] = '\0';
	return name;
}

bool program_preloads(const char *file)
{
	char line[SCRIPT_LINE];
	bool preloads = false;

	for (int depth = 0; file && depth < SCRIPT_DEPTH; depth++) {
		Elf64_Ehdr header = {0};
		int fd = strchr(file, '/') || depth ? open_file(file) : open_in_path(file);
		if (fd < 0)
			break;
		file = NULL;
		long length = sys(SYS_pread64, fd, line, sizeof(line), 0);
		if (length > 2 && !memcmp(line, "#!", 2)) {
			file = interpreter(line, length);
		} else if (length >= (long)sizeof(header) && !memcmp(line, ELFMAG, SELFMAG)) {
			memcpy(&header, line, sizeof(header));
			preloads = !is_privileged(fd) && has_loader(fd, &header);
		}
		sys(SYS_close, fd);
	}
	return preloads;
}
