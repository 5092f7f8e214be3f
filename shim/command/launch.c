#include "shim/command/launch.h"
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SCRIPT_DEPTH 5 /* interpreters of interpreters; the kernel stops there too */

#if defined(__x86_64__)
#define OUR_MACHINE      EM_X86_64
#define OUR_MACHINE_NAME "x86-64"
#elif defined(__aarch64__)
#define OUR_MACHINE      EM_AARCH64
#define OUR_MACHINE_NAME "aarch64"
#endif

struct image {
	const unsigned char *bytes;
	size_t size;
};

struct examination {
	const char *path; /* of the program looked at, the interpreter for a script */
	char *why;
	size_t why_size;
};

#define refuse(exam, format, ...) \
	(snprintf((exam)->why, (exam)->why_size, "%s " format, (exam)->path, ##__VA_ARGS__), -1)

bool launch_find(const char *name, char path[PATH_MAX])
{
	const char *search = getenv("PATH");

	if (strchr(name, '/')) {
		snprintf(path, PATH_MAX, "%s", name);
		return access(path, X_OK) == 0;
	}
	for (search = search ? search : "/usr/local/bin:/bin:/usr/bin"; *name;) {
		size_t len = strcspn(search, ":");
		struct stat st;
		int used = snprintf(path, PATH_MAX, "%.*s/%s", len ? (int)len : 1,
				    len ? search : ".", name);
		if (used < PATH_MAX && access(path, X_OK) == 0 && stat(path, &st) == 0 &&
		    S_ISREG(st.st_mode))
			return true;
		if (!search[len])
			break;
		search += len + 1;
	}
	errno = ENOENT;
	return false;
}

/* A part of the image, or NULL where it lies outside. */
static const void *part(const struct image *image, uint64_t offset, uint64_t size)
{
	if (offset > image->size || size > image->size - offset)
		return NULL;
	return image->bytes + offset;
}

static bool has_go_note(const struct image *image, const Elf64_Phdr *segment)
{
	uint64_t at = segment->p_offset, end;

	if (segment->p_type != PT_NOTE || !part(image, at, segment->p_filesz))
		return false;
	for (end = at + segment->p_filesz; end - at >= sizeof(Elf64_Nhdr);) {
		Elf64_Nhdr note;
		memcpy(&note, image->bytes + at, sizeof(note));
		at += sizeof(note);
		uint64_t name = (note.n_namesz + 3ull) & ~3ull,
			 desc = (note.n_descsz + 3ull) & ~3ull;
		if (name > end - at || desc > end - at - name)
			return false;
		if (note.n_namesz == 4 && memcmp(image->bytes + at, "Go", 3) == 0)
			return true;
		at += name + desc;
	}
	return false;
}

static int examine_segments(const struct examination *exam, const struct image *image,
			    const Elf64_Ehdr *header)
{
	char loader[256] = "";
	bool go = false;

	for (unsigned i = 0; i < header->e_phnum; i++) {
		Elf64_Phdr segment;
		const void *found = part(image, header->e_phoff + (uint64_t)i * header->e_phentsize,
					 sizeof(segment));
		if (!found)
			return refuse(exam, "is a damaged ELF file.");
		memcpy(&segment, found, sizeof(segment));
		go |= has_go_note(image, &segment);
		if (segment.p_type == PT_INTERP) {
			found = part(image, segment.p_offset, segment.p_filesz);
			if (found)
				snprintf(loader, sizeof(loader), "%.*s", (int)segment.p_filesz,
					 (const char *)found);
		}
	}
	if (go)
		return refuse(exam,
			      "is a Go program: it makes its system calls without libc, so the "
			      "shim would see none of them.");
	if (!loader[0])
		return refuse(exam, "is statically linked: no loader reads LD_PRELOAD for it.");
	if (strstr(loader, "ld-musl"))
		return refuse(exam, "uses musl, and the shim is built for glibc.");
	return 0;
}

static int examine_elf(const struct examination *exam, const struct image *image)
{
	Elf64_Ehdr header;

	if (image->size < sizeof(header))
		return refuse(exam, "is a damaged ELF file.");
	memcpy(&header, image->bytes, sizeof(header));
	if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
	    header.e_machine != OUR_MACHINE)
		return refuse(exam,
			      "is built for another architecture than the shim (" OUR_MACHINE_NAME
			      "), and the loader would ignore it.");
	if (header.e_type != ET_EXEC && header.e_type != ET_DYN)
		return refuse(exam, "is an ELF file, but not a program.");
	return examine_segments(exam, image, &header);
}

/* AT_SECURE, in which the loader ignores LD_PRELOAD, as cap_bprm_creds_from_file() sets it. */
static int examine_privilege(const struct examination *exam, const struct stat *st)
{
	bool gid_counts = (st->st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP);

	if (((st->st_mode & S_ISUID) && st->st_uid != getuid()) ||
	    (gid_counts && st->st_gid != getgid()))
		return refuse(exam, "is set-id: for the user's protection the loader ignores "
				    "LD_PRELOAD. Start it as the user it changes to.");
	if (getuid() != 0 && getxattr(exam->path, "security.capability", NULL, 0) > 0)
		return refuse(exam,
			      "has file capabilities: for the user's protection the loader "
			      "ignores LD_PRELOAD. Let the service manager grant them instead "
			      "(AmbientCapabilities=).");
	return 0;
}

/* "#!interpreter [argument]" of the first line; `env NAME` is looked through. */
static bool script_interpreter(const struct image *image, char path[PATH_MAX])
{
	char line[256], *argument, *end;
	size_t len = image->size - 2 < sizeof(line) ? image->size - 2 : sizeof(line) - 1;

	memcpy(line, image->bytes + 2, len);
	line[len] = '\0';
	line[strcspn(line, "\n")] = '\0';
	char *name = strtok_r(line, " \t\r", &end);
	if (!name)
		return false;
	const char *base = strrchr(name, '/');
	argument = strtok_r(NULL, " \t\r", &end);
	if (strcmp(base ? base + 1 : name, "env") == 0 && argument && argument[0] != '-' &&
	    !strchr(argument, '='))
		return launch_find(argument, path);
	snprintf(path, PATH_MAX, "%s", name);
	return true;
}

static bool map_file(const char *path, struct image *image, struct stat *st)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	void *map = MAP_FAILED;

	if (fd < 0)
		return false;
	bool known = fstat(fd, st) == 0;
	errno = known && S_ISDIR(st->st_mode) ? EISDIR : ENOEXEC;
	if (known && S_ISREG(st->st_mode) && st->st_size > 2)
		map = mmap(NULL, (size_t)st->st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	*image = (struct image){.bytes = map, .size = (size_t)st->st_size};
	return map != MAP_FAILED;
}

int launch_examine(const char *path, char *why, size_t size)
{
	char program[PATH_MAX], next[PATH_MAX];
	struct examination exam = {.path = program, .why = why, .why_size = size};
	struct image image;
	struct stat st;

	snprintf(program, sizeof(program), "%s", path);
	for (int depth = 0; depth < SCRIPT_DEPTH; depth++) {
		int result = 1;

		if (!map_file(program, &image, &st)) {
			/* Executable but not readable: the kernel runs it, we cannot look. */
			return errno == EACCES
				       ? 0
				       : refuse(&exam, "cannot be started: %s.", strerror(errno));
		}
		if (memcmp(image.bytes, "#!", 2) == 0) {
			if (!script_interpreter(&image, next))
				result = refuse(&exam, "is a script without an interpreter.");
		} else if (st.st_size < SELFMAG || memcmp(image.bytes, ELFMAG, SELFMAG) != 0) {
			result = refuse(&exam, "is neither an ELF program nor a script.");
		} else {
			result = examine_elf(&exam, &image);
			if (result == 0)
				result = examine_privilege(&exam, &st);
		}
		munmap((void *)(uintptr_t)image.bytes, image.size);
		if (result <= 0)
			return result;
		memcpy(program, next, sizeof(program));
	}
	return refuse(&exam, "is an interpreter of too many scripts.");
}
