/* The log: lines on standard error or appended to a file, "rssshim[pid]: text\n", one write a line.
 *
 * Callable from any thread, in signal handlers, before constructors and after fork: no allocation,
 * no stdio, no lock, errno untouched. A log that cannot be written (full disk, closed descriptor)
 * is lost without a trace; nothing else depends on it. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>

/* In the order of the words of shim.log in options.def. */
enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

#define LOG_LINE_MAX 1024 /* bytes of a line, longer ones are cut */
#define LOG_PATH_MAX 512  /* bytes of log_file, with the final NUL */

/* Until this is called, warnings and errors go to standard error.
 * file: absolute path, opened for appending, at a high descriptor number; NULL or "": standard
 * error. Returns 0 or -errno of the file, in which case standard error is used. */
int log_open(enum log_level level, const char *file);

/* Formats are those of shim/kernel/format.h. Control characters in the result become '?'. */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

bool log_wants(enum log_level level);

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* One line for a cause: each place in the source speaks once in a process (and once for a process
 * and the children forked after it spoke). */
#define log_once(level, ...)                                                       \
	do {                                                                       \
		static atomic_bool said_;                                          \
		if (log_wants(level) &&                                            \
		    !atomic_exchange_explicit(&said_, true, memory_order_relaxed)) \
			log_write(level, __VA_ARGS__);                             \
	} while (0)
