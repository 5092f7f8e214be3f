/* Small text files below a directory descriptor of /proc or /sys, and the formats found there.
 * The parsers are pure; none of them allocates or needs the text to be terminated. */
#pragma once
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A relative path put together without stdio. One that does not fit becomes "", which opens
 * nothing. */
struct path {
	char text[192];
	size_t len;
};

struct path path_of(const char *start);
void path_add(struct path *path, const char *text);
void path_add_number(struct path *path, unsigned number);

/* Reads a file of one line, at most size - 1 bytes, and terminates them. Returns how many, or
 * -errno; a directory descriptor below 0 is returned as the error it is. */
int procfs_read(int dir, const char *path, char *text, size_t size);
int procfs_read_at(int dir, const struct path *path, char *text, size_t size);

/* A directory to read several files below. The caller closes it. */
int procfs_open(int dir, const struct path *path);

/* Passes a file of any length on in pieces. Returns 0 or -errno. */
typedef void (*procfs_feed_fn)(void *context, const char *text, size_t len);
int procfs_feed(int dir, const char *path, procfs_feed_fn feed, void *context);

/* The file must hold nothing else. Return 0, -errno, or -EBADMSG where it does. */
int procfs_number(int dir, const struct path *path, long *value);
int procfs_cpu_list(int dir, const struct path *path, cpu_set_t *cpus);
int procfs_cpu_mask(int dir, const struct path *path, cpu_set_t *cpus);

/* Calls entry() for each name in a directory except "." and "..", until it returns false.
 * Returns 0 or -errno. */
typedef bool (*procfs_entry_fn)(void *context, const char *name);
int procfs_list(int dir, const struct path *path, procfs_entry_fn entry, void *context);

/* "0-3,8\n"; an empty list is an empty set. Numbers from CPU_SETSIZE on are dropped. False: not a
 * CPU list, and the set is empty. */
bool cpu_list_parse(const char *text, size_t len, cpu_set_t *cpus);

/* "ff,00000001\n": 32-bit words in hexadecimal, highest first. */
bool cpu_mask_parse(const char *text, size_t len, cpu_set_t *cpus);

/* Decimal, with an optional sign, up to the end or white space. */
bool number_parse(const char *text, size_t len, long *value);

/* Whether a thread runs or waits for nothing but a CPU; true also where /proc does not tell. */
bool thread_runs(int proc, int pid, int tid);

/* A number that only the caller's pid name space has for as long as it exists; 0 where /proc does
 * not tell, as one of a name space that the caller cannot see. */
uint32_t procfs_pid_space(int proc);

/* The only CPU of a set; -1: none, or several. */
int cpu_set_single(const cpu_set_t *cpus);
/* The lowest CPU from `from` on; -1: none. */
int cpu_set_next(const cpu_set_t *cpus, int from);
