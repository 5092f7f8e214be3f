/* Programs about to be started: whether LD_PRELOAD reaches them. */
#pragma once
#include <stdbool.h>
#include <sys/stat.h>

enum program_form {
	PROGRAM_FOREIGN, /* neither ELF nor script; or it cannot be read */
	PROGRAM_SCRIPT,
	PROGRAM_DAMAGED,
	PROGRAM_OTHER_MACHINE,
	PROGRAM_NO_PROGRAM, /* another ELF file */
	PROGRAM_STATIC,
	PROGRAM_DYNAMIC,
};

/* Why the loader would ignore LD_PRELOAD (AT_SECURE). */
enum program_privilege { PRIVILEGE_NONE, PRIVILEGE_SET_ID, PRIVILEGE_CAPABILITIES };

#define PROGRAM_TEXT 256 /* the kernel reads no more of a script's first line */

struct program {
	enum program_form form;
	/* Of a script; the loader of a dynamic program. "": none, or longer than this. */
	char interpreter[PROGRAM_TEXT];
	char argument[PROGRAM_TEXT]; /* of a script's interpreter: all of it */
	bool is_go;
};

#if defined(__x86_64__)
#define PROGRAM_MACHINE "x86-64"
#elif defined(__aarch64__)
#define PROGRAM_MACHINE "aarch64"
#endif

/* The file behind a descriptor, which may hold anything. */
void program_read(int fd, struct program *program);

enum program_privilege program_privilege(int fd, const struct stat *status);

/* Interpreters of interpreters; the kernel stops there, too. */
#define PROGRAM_DEPTH 5

/* Whether a program would load what LD_PRELOAD names: not a static one, not one for another
 * machine, and none that runs with more privileges than its caller. Where that cannot be known,
 * false. A file without a slash is looked for in PATH, as execvp() does. */
bool program_preloads(const char *file);
