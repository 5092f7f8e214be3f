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

#define SEGMENTS_MAX  64
#define NOTES_MAX     1024            /* bytes of a segment of notes that are looked at */
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

static bool read_at(int fd, uint64_t offset, void *to, size_t size)
{
	return sys(SYS_pread64, fd, to, size, offset) == (long)size;
}

static bool is_set_id(const struct stat *status)
{
	bool gid_counts = (status->st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP);

	return (status->st_mode & S_ISUID && status->st_uid != (uid_t)sys(SYS_getuid)) ||
	       (gid_counts && status->st_gid != (gid_t)sys(SYS_getgid));
}

/* As cap_bprm_creds_from_file() has it. */
enum program_privilege program_privilege(int fd, const struct stat *status)
{
	if (is_set_id(status))
		return PRIVILEGE_SET_ID;
	return sys(SYS_getuid) && sys(SYS_fgetxattr, fd, "security.capability", NULL, 0) > 0
		       ? PRIVILEGE_CAPABILITIES
		       : PRIVILEGE_NONE;
}

static bool has_go_note(int fd, const Elf64_Phdr *segment)
{
	uint8_t bytes[NOTES_MAX];
	size_t at = 0, size = segment->p_filesz < sizeof(bytes) ? segment->p_filesz : sizeof(bytes);

	if (!read_at(fd, segment->p_offset, bytes, size))
		return false;
	while (size - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr note;
		memcpy(&note, bytes + at, sizeof(note));
		at += sizeof(note);
		uint64_t name = (note.n_namesz + 3ull) & ~3ull,
			 desc = (note.n_descsz + 3ull) & ~3ull;
		if (name > size - at)
			return false;
		if (note.n_namesz == 4 && !memcmp(bytes + at, "Go", 3))
			return true;
		if (desc > size - at - name)
			return false;
		at += name + desc;
	}
	return false;
}

static void read_loader(int fd, const Elf64_Phdr *segment, char loader[PROGRAM_TEXT])
{
	size_t size = segment->p_filesz < PROGRAM_TEXT ? segment->p_filesz : PROGRAM_TEXT - 1;

	if (!read_at(fd, segment->p_offset, loader, size))
		size = 0;
	loader[size] = '\0';
}

static enum program_form read_segments(int fd, const Elf64_Ehdr *header, struct program *program)
{
	for (unsigned i = 0; i < header->e_phnum && i < SEGMENTS_MAX; i++) {
		Elf64_Phdr segment;
		if (!read_at(fd, header->e_phoff + (uint64_t)i * sizeof(segment), &segment,
			     sizeof(segment)))
			return PROGRAM_DAMAGED;
		if (segment.p_type == PT_INTERP)
			read_loader(fd, &segment, program->interpreter);
		else if (segment.p_type == PT_NOTE)
			program->is_go |= has_go_note(fd, &segment);
	}
	return program->interpreter[0] ? PROGRAM_DYNAMIC : PROGRAM_STATIC;
}

static enum program_form read_elf(int fd, struct program *program)
{
	Elf64_Ehdr header;

	if (!read_at(fd, 0, &header, sizeof(header)))
		return PROGRAM_DAMAGED;
	if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
	    header.e_machine != OUR_MACHINE)
		return PROGRAM_OTHER_MACHINE;
	if (header.e_type != ET_EXEC && header.e_type != ET_DYN)
		return PROGRAM_NO_PROGRAM;
	if (header.e_phentsize != sizeof(Elf64_Phdr))
		return PROGRAM_DAMAGED;
	return read_segments(fd, &header, program);
}

/* A copy of the text up to any of these bytes, or its end. Returns what is behind. */
static const char *copy_until(char *to, const char *text, const char *ends)
{
	size_t length = strcspn(text, ends);

	memcpy(to, text, length);
	to[length] = '\0';
	return text + length;
}

/* "#!interpreter [argument]": of a line that fills all the room, the interpreter must end in it. */
static void read_script(const char line[PROGRAM_TEXT + 1], struct program *program)
{
	const char *rest = line + 2;

	rest += strspn(rest, " \t");
	rest = copy_until(program->interpreter, rest, " \t\r\n");
	if (rest == line + PROGRAM_TEXT)
		program->interpreter[0] = '\0';
	rest += strspn(rest, " \t");
	copy_until(program->argument, rest, "\r\n");
}

void program_read(int fd, struct program *program)
{
	char line[PROGRAM_TEXT + 1];
	long length = sys(SYS_pread64, fd, line, PROGRAM_TEXT, 0);

	memset(program, 0, sizeof(*program));
	line[length > 0 ? length : 0] = '\0';
	if (length > 2 && !memcmp(line, "#!", 2)) {
		program->form = PROGRAM_SCRIPT;
		read_script(line, program);
	} else if (length >= SELFMAG && !memcmp(line, ELFMAG, SELFMAG)) {
		program->form = read_elf(fd, program);
	}
}

bool program_preloads(const char *file)
{
	struct program program;
	bool preloads = false;

	for (int depth = 0; file && depth < PROGRAM_DEPTH; depth++) {
		struct stat status;
		int fd = strchr(file, '/') || depth ? open_file(file) : open_in_path(file);
		if (fd < 0)
			break;
		program_read(fd, &program);
		preloads = program.form == PROGRAM_DYNAMIC && !sys(SYS_fstat, fd, &status) &&
			   program_privilege(fd, &status) == PRIVILEGE_NONE;
		file = program.form == PROGRAM_SCRIPT && program.interpreter[0]
			       ? program.interpreter
			       : NULL;
		sys(SYS_close, fd);
	}
	return preloads;
}
