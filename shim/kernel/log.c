#include "shim/kernel/log.h"
#include "shim/kernel/format.h"
#include "shim/kernel/poll.h"
#include "shim/kernel/sys.h"
#include "shim/process/fd_table.h"
#include "shim/process/own_fd.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>

/* A descriptor and what it was open on, in one word so that it changes atomically. The application
 * closes and reuses numbers as it likes (daemons close everything, or reuse 2 for a connection):
 * before each line we look whether the number still is what we opened. 0: none. */
typedef uint64_t fd_ticket;

#define TICKET_FD_MASK ((fd_ticket)0xffffff)
#define STDERR         2

static _Atomic int log_threshold = LOG_LEVEL_WARN;
static char log_path[LOG_PATH_MAX]; /* written by log_open() alone; "": standard error */
static _Atomic fd_ticket log_file;
static _Atomic fd_ticket log_stderr; /* what 2 was at the start */

bool log_wants(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&log_threshold, memory_order_relaxed);
}

static long status(int fd, struct stat *st)
{
	return sys(SYS_fstat, fd, st);
}

static fd_ticket ticket_of(int fd, const struct stat *st)
{
	uint64_t mixed = ((uint64_t)st->st_ino ^ (uint64_t)st->st_dev << 32) * 0x9e3779b97f4a7c15u;

	/* The lowest bit above the descriptor is always set: no ticket is 0. */
	return (mixed & ~TICKET_FD_MASK) | (TICKET_FD_MASK + 1) | (fd_ticket)fd;
}

static int ticket_fd(fd_ticket ticket)
{
	return (int)(ticket & TICKET_FD_MASK);
}

static bool ticket_holds(fd_ticket ticket)
{
	struct stat st;

	return ticket && status(ticket_fd(ticket), &st) == 0 &&
	       ticket_of(ticket_fd(ticket), &st) == ticket;
}

/* Non-blocking, so that a path that is a pipe or a terminal never holds the application up. */
static int file_open(fd_ticket *ticket)
{
	struct stat st;
	int fd = (int)sys(SYS_openat, AT_FDCWD, log_path,
			  O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);

	fd = own_fd(fd);
	if (fd < 0)
		return fd;
	if (status(fd, &st) < 0) {
		own_fd_close(fd);
		return -EBADF;
	}
	*ticket = ticket_of(fd, &st);
	return 0;
}

/* The log file's descriptor, opened again where the application closed it; -1 if there is none. */
static int file_fd(void)
{
	fd_ticket seen = atomic_load(&log_file), fresh;

	if (ticket_holds(seen))
		return ticket_fd(seen);
	if (seen)
		fd_forget(ticket_fd(seen)); /* no longer ours */
	if (file_open(&fresh) < 0)
		return -1;
	if (!atomic_compare_exchange_strong(&log_file, &seen, fresh)) {
		own_fd_close(ticket_fd(fresh)); /* another thread was first */
		return ticket_holds(seen) ? ticket_fd(seen) : -1;
	}
	return ticket_fd(fresh);
}

/* 2 is written to while it is what it was at the start (also a socket: systemd's journal is one),
 * or has become a terminal or a file open for appending (nginx puts its error log there). Anything
 * else that came to have that number may be the application's data. */
static int stderr_fd(void)
{
	fd_ticket start = atomic_load(&log_stderr);
	struct stat st;

	if (status(STDERR, &st) < 0)
		return -1;
	fd_ticket now = ticket_of(STDERR, &st);
	if (!start && atomic_compare_exchange_strong(&log_stderr, &start, now))
		return STDERR;
	if (now == start)
		return STDERR;
	if (S_ISREG(st.st_mode) && sys(SYS_fcntl, STDERR, F_GETFL) & O_APPEND)
		return STDERR;
	char termios[256]; /* larger than any struct termios */
	if (S_ISCHR(st.st_mode) && sys(SYS_ioctl, STDERR, TCGETS, termios) == 0)
		return STDERR;
	return -1;
}

/* A reader that is gone raises SIGPIPE, a size limit SIGXFSZ: neither may reach the application.
 * Both are sent to the writing thread, so they are held back here and taken away if they came. */
static void write_line(int fd, const char *line, size_t len)
{
	uint64_t held = 1ull << (SIGPIPE - 1) | 1ull << (SIGXFSZ - 1), before, pending = 0;
	struct pollfd room = {.fd = fd, .events = POLLOUT};
	const struct timespec now = {0};

	/* POLLOUT on a pipe promises PIPE_BUF bytes, more than a line: the write will not block,
	 * unless another writer is quicker. */
	if (sys_poll(&room, 1, 0) != 1)
		return;
	sys(SYS_rt_sigprocmask, SIG_BLOCK, &held, &before, 8);
	sys(SYS_rt_sigpending, &pending, 8);
	long done = sys(SYS_write, fd, line, len);
	if (done == -EPIPE || done == -EFBIG) {
		uint64_t taken = held & ~pending;
		sys(SYS_rt_sigtimedwait, &taken, NULL, &now, 8);
	}
	sys(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, 8);
}

void log_write(enum log_level level, const char *format, ...)
{
	char line[LOG_LINE_MAX];
	va_list args;

	if (!log_wants(level))
		return;
	int fd = log_path[0] ? file_fd() : stderr_fd();
	if (fd < 0)
		return;
	size_t head = format_text(line, sizeof(line), "rssshim[%d]: ", (int)sys(SYS_getpid));
	va_start(args, format);
	size_t len = head + format_text_v(line + head, sizeof(line) - head, format, args);
	va_end(args);
	/* Names and values come from outside: a line stays one line. */
	for (size_t i = head; i < len; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	line[len++] = '\n'; /* in place of the NUL */
	write_line(fd, line, len);
}

int log_open(enum log_level level, const char *file)
{
	fd_ticket fresh, old = atomic_exchange(&log_file, 0);
	struct stat st;
	int error = 0;

	if (ticket_holds(old))
		own_fd_close(ticket_fd(old));
	if (status(STDERR, &st) == 0)
		atomic_store(&log_stderr, ticket_of(STDERR, &st));
	log_path[0] = '\0';
	if (file && file[0]) {
		if (strlen(file) >= sizeof(log_path))
			error = -ENAMETOOLONG;
		else {
			memcpy(log_path, file, strlen(file) + 1);
			error = file_open(&fresh);
		}
		if (error < 0)
			log_path[0] = '\0';
		else
			atomic_store(&log_file, fresh);
	}
	atomic_store_explicit(&log_threshold, (int)level, memory_order_relaxed);
	return error;
}
