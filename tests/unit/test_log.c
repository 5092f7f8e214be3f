/* The log must reach who reads it, and never harm the application: each case puts descriptor 2, the
 * file or the process into a state that applications get into. */
#include "shim/kernel/log.h"
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char path[] = "/tmp/test_log.XXXXXX";
static char content[64 * 1024];

static void remove_file(void)
{
	unlink(path);
}

static void make_file(void)
{
	close(mkstemp(path));
}

/* What has arrived at a descriptor that does not block. */
static char *arrived(int fd)
{
	ssize_t len = read(fd, content, sizeof(content) - 1);

	content[len < 0 ? 0 : len] = '\0';
	return content;
}

static char *file_content(const char *name)
{
	int fd = open(name, O_RDONLY);

	arrived(fd);
	close(fd);
	return content;
}

/* Descriptor 2 becomes a pipe; returns its reading end. */
static int stderr_pipe(void)
{
	int ends[2];

	cr_assert(eq(int, pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0));
	fcntl(ends[1], F_SETFL, 0);
	dup2(ends[1], 2);
	close(ends[1]);
	return ends[0];
}

static char *line(const char *text)
{
	static char out[2048];

	snprintf(out, sizeof(out), "rssshim[%d]: %s\n", getpid(), text);
	return out;
}

Test(log, before_it_is_opened)
{
	int reader = stderr_pipe();

	log_warn("hello %d %s", 7, "you");
	cr_expect(eq(str, arrived(reader), line("hello 7 you")));
	log_info("too much");
	cr_expect(eq(str, arrived(reader), ""));
}

Test(log, levels)
{
	int reader = stderr_pipe();

	log_open(LOG_LEVEL_ERROR, NULL);
	log_warn("no");
	log_error("yes");
	cr_expect(eq(str, arrived(reader), line("yes")));
	log_open(LOG_LEVEL_DEBUG, "");
	log_debug("yes");
	cr_expect(eq(str, arrived(reader), line("yes")));
	cr_expect(log_wants(LOG_LEVEL_DEBUG));
}

Test(log, a_line_stays_one_line)
{
	int reader = stderr_pipe();
	static char longer[3 * LOG_LINE_MAX];

	log_warn("%s", "a\nb\x1b[31mc\x7f");
	cr_expect(eq(str, arrived(reader), line("a?b?[31mc?")));
	memset(longer, 'x', sizeof(longer) - 1);
	log_warn("%s", longer);
	arrived(reader);
	cr_expect(eq(sz, strlen(content), LOG_LINE_MAX));
	cr_expect(eq(chr, content[LOG_LINE_MAX - 1], '\n'));
}

Test(log, once)
{
	int reader = stderr_pipe();

	for (int i = 0; i < 3; i++)
		log_once(LOG_LEVEL_WARN, "round %d", i);
	cr_expect(eq(str, arrived(reader), line("round 0")));
	for (int i = 0; i < 2; i++) {
		log_once(LOG_LEVEL_INFO, "not wanted at first");
		log_open(LOG_LEVEL_INFO, NULL);
	}
	cr_expect(eq(str, arrived(reader), line("not wanted at first")));
}

Test(log, errno_is_the_applications)
{
	stderr_pipe();
	close(2);
	errno = 12345;
	log_warn("lost");
	log_open(LOG_LEVEL_WARN, "/nonexistent/log");
	log_warn("lost");
	cr_expect(eq(int, errno, 12345));
}

Test(log, nobody_reads)
{
	signal(SIGPIPE, SIG_DFL); /* death, if it comes */
	close(stderr_pipe());
	log_warn("lost");
	sigset_t pending;
	sigpending(&pending);
	cr_expect(not(sigismember(&pending, SIGPIPE)));
}

Test(log, nobody_reads_and_a_signal_waits)
{
	sigset_t pipe_signal, pending;

	sigemptyset(&pipe_signal);
	sigaddset(&pipe_signal, SIGPIPE);
	sigprocmask(SIG_BLOCK, &pipe_signal, NULL);
	raise(SIGPIPE);
	close(stderr_pipe());
	log_warn("lost");
	sigpending(&pending);
	cr_expect(sigismember(&pending, SIGPIPE), "the application's own stays");
}

Test(log, a_full_pipe_does_not_block, .timeout = 5)
{
	int reader = stderr_pipe();
	char filler[4096] = "";

	fcntl(2, F_SETFL, O_NONBLOCK);
	while (write(2, filler, sizeof(filler)) > 0)
		;
	fcntl(2, F_SETFL, 0);
	log_warn("lost");
	while (read(reader, filler, sizeof(filler)) > 0)
		;
	log_warn("there again");
	cr_expect(eq(str, arrived(reader), line("there again")));
}

Test(log, descriptor_2_became_a_connection)
{
	int ends[2];

	stderr_pipe();
	log_open(LOG_LEVEL_WARN, NULL);
	cr_assert(eq(int, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0));
	dup2(ends[1], 2);
	log_warn("not into the application's data");
	cr_expect(eq(str, arrived(ends[0]), ""));
}

Test(log, descriptor_2_was_a_socket_from_the_start)
{
	int ends[2]; /* as systemd's journal */

	cr_assert(eq(int, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0));
	dup2(ends[1], 2);
	log_open(LOG_LEVEL_WARN, NULL);
	log_warn("hello");
	cr_expect(eq(str, arrived(ends[0]), line("hello")));
}

Test(log, descriptor_2_became_a_file, .init = make_file, .fini = remove_file)
{
	stderr_pipe();
	log_open(LOG_LEVEL_WARN, NULL);
	dup2(open(path, O_RDWR), 2);
	log_warn("not into the application's data");
	cr_expect(eq(str, file_content(path), ""));
	dup2(open(path, O_WRONLY | O_APPEND), 2);
	log_warn("into its log");
	cr_expect(eq(str, file_content(path), line("into its log")));
}

Test(log, descriptor_2_became_a_pipe)
{
	stderr_pipe();
	log_open(LOG_LEVEL_WARN, NULL);
	int reader = stderr_pipe();
	log_warn("not into the application's data");
	fcntl(2, F_SETFL, O_APPEND);
	log_warn("not into the application's data");
	cr_expect(eq(str, arrived(reader), ""));
}

Test(log, file, .init = make_file, .fini = remove_file)
{
	int reader = stderr_pipe();

	int fd = open(path, O_WRONLY);
	cr_assert(eq(int, (int)write(fd, "before\n", 7), 7));
	close(fd);
	cr_expect(eq(int, log_open(LOG_LEVEL_WARN, path), 0));
	log_warn("one");
	log_warn("two");
	char wanted[4096];
	snprintf(wanted, sizeof(wanted), "before\n%s", line("one"));
	strcat(wanted, line("two"));
	cr_expect(eq(str, file_content(path), wanted));
	cr_expect(eq(str, arrived(reader), ""));
}

/* The descriptors open on path. */
static int open_on_path(int *fds, int most)
{
	struct stat wanted, st;
	int count = 0;

	stat(path, &wanted);
	for (int fd = 0; fd < 1 << 16; fd++)
		if (fstat(fd, &st) == 0 && st.st_ino == wanted.st_ino &&
		    st.st_dev == wanted.st_dev && count < most)
			fds[count++] = fd;
	return count;
}

Test(log, the_files_descriptor, .init = make_file, .fini = remove_file)
{
	int fds[4];

	log_open(LOG_LEVEL_WARN, path);
	cr_assert(eq(int, open_on_path(fds, 4), 1));
	cr_expect(ge(int, fds[0], 64), "out of the application's way");
	cr_expect(eq(int, fcntl(fds[0], F_GETFD), FD_CLOEXEC));
	log_open(LOG_LEVEL_WARN, path);
	cr_expect(eq(int, open_on_path(fds, 4), 1), "opening again leaks nothing");
}

Test(log, the_application_closes_everything, .init = make_file, .fini = remove_file)
{
	int fd;

	log_open(LOG_LEVEL_WARN, path);
	cr_assert(eq(int, open_on_path(&fd, 1), 1));
	close(fd);
	log_warn("back");
	cr_expect(eq(str, file_content(path), line("back")));
	/* And its number is reused for the application's own file. */
	cr_assert(eq(int, open_on_path(&fd, 1), 1));
	char mine[] = "/tmp/test_log_mine.XXXXXX";
	int other = mkstemp(mine);
	dup2(other, fd);
	log_warn("again");
	cr_expect(eq(str, file_content(mine), ""));
	file_content(path);
	cr_expect(strstr(content, "again\n") != NULL, "%s", content);
	unlink(mine);
}

Test(log, a_file_that_cannot_be)
{
	int reader = stderr_pipe();
	char longer[LOG_PATH_MAX + 2];

	cr_expect(eq(int, log_open(LOG_LEVEL_WARN, "/nonexistent/log"), -ENOENT));
	log_warn("one");
	cr_expect(eq(str, arrived(reader), line("one")), "standard error instead");
	memset(longer, '/', sizeof(longer));
	longer[LOG_PATH_MAX] = '\0';
	cr_expect(eq(int, log_open(LOG_LEVEL_WARN, longer), -ENAMETOOLONG));
	log_warn("two");
	cr_expect(eq(str, arrived(reader), line("two")));
}

Test(log, a_full_disk)
{
	int reader = stderr_pipe();

	cr_expect(eq(int, log_open(LOG_LEVEL_WARN, "/dev/full"), 0));
	log_warn("lost");
	cr_expect(eq(str, arrived(reader), ""));
}

Test(log, a_file_at_its_limit, .init = make_file, .fini = remove_file)
{
	struct rlimit none = {.rlim_cur = 0, .rlim_max = RLIM_INFINITY};

	log_open(LOG_LEVEL_WARN, path);
	signal(SIGXFSZ, SIG_DFL); /* death, if it comes */
	setrlimit(RLIMIT_FSIZE, &none);
	log_warn("lost");
	cr_expect(eq(str, file_content(path), ""));
}

Test(log, after_fork)
{
	int reader = stderr_pipe(), status;

	log_open(LOG_LEVEL_WARN, NULL);
	pid_t child = fork();
	if (child == 0) {
		log_warn("child");
		_exit(0);
	}
	waitpid(child, &status, 0);
	char wanted[64];
	snprintf(wanted, sizeof(wanted), "rssshim[%d]: child\n", child);
	cr_expect(eq(str, arrived(reader), wanted));
}
