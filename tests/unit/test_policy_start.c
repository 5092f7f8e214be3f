/* Which file a process takes its policy from, and which it refuses. */
#include "shim/policy/start.h"
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static struct policy policy;
static char said[16 * 1024];
static char dir[] = "/tmp/test_start.XXXXXX";
static char file[64];

static void make_dir(void)
{
	cr_assert(mkdtemp(dir) != NULL);
	snprintf(file, sizeof(file), "%s/p.ini", dir);
}

static void remove_dir(void)
{
	unlink(file);
	rmdir(dir);
}

static void put(const char *path, const char *text)
{
	FILE *out = fopen(path, "w");

	cr_assert(out != NULL, "%s", path);
	fputs(text, out);
	fclose(out);
	chmod(path, 0644);
}

/* policy_start() with what it logs on standard error in said. */
static void start(const char *program, char *const *environment)
{
	int ends[2];

	cr_assert(eq(int, pipe2(ends, O_NONBLOCK), 0));
	dup2(ends[1], 2);
	policy_start(&policy, environment, program);
	ssize_t len = read(ends[0], said, sizeof(said) - 1);
	said[len < 0 ? 0 : len] = '\0';
}

static void start_named(const char *path)
{
	char conf[600];
	char *environment[] = {conf, NULL};

	snprintf(conf, sizeof(conf), "RSSSHIM_CONF=%s", path);
	start("program", environment);
}

/* A private, empty /etc. */
static void own_etc(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", "/etc", "tmpfs", 0, NULL) < 0)
		cr_skip_test("no private /etc without the right to mount");
	cr_assert(eq(int, mkdir("/etc/rssshim", 0755), 0));
}

Test(policy_start, nothing)
{
	own_etc();
	start("program", NULL);
	cr_expect(eq(str, said, ""));
	cr_expect(eq(str, policy.file.text, ""));
	cr_expect(eq(u32, policy.connect_tries, 16));
}

Test(policy_start, lookup_order, .init = make_dir, .fini = remove_dir)
{
	own_etc();
	put("/etc/rssshim/default.ini", "[connect]\ntries = 3\n");
	start("/usr/sbin/nginx", NULL);
	cr_expect(eq(u32, policy.connect_tries, 3));
	cr_expect(eq(str, policy.file.text, "/etc/rssshim/default.ini"));

	put("/etc/rssshim/nginx.ini", "[connect]\ntries = 2\n");
	start("/usr/sbin/nginx", NULL);
	cr_expect(eq(u32, policy.connect_tries, 2));
	cr_expect(eq(str, policy.file.text, "/etc/rssshim/nginx.ini"));
	start("haproxy", NULL);
	cr_expect(eq(u32, policy.connect_tries, 3));

	put(file, "[connect]\ntries = 1\n");
	char conf[128];
	char *environment[] = {conf, "RSSSHIM_LISTEN_SHARE=yes", NULL};
	snprintf(conf, sizeof(conf), "RSSSHIM_CONF=%s", file);
	start("nginx", environment);
	cr_expect(eq(u32, policy.connect_tries, 1));
	cr_expect(policy.listen_share);
	cr_expect(eq(str, said, ""));
}

Test(policy_start, one_that_is_refused_does_not_hand_over_to_the_next)
{
	own_etc();
	put("/etc/rssshim/default.ini", "[connect]\ntries = 3\n");
	put("/etc/rssshim/nginx.ini", "[connect]\ntries = 2\n");
	chmod("/etc/rssshim/nginx.ini", 0666);
	start("nginx", NULL);
	cr_expect(eq(u32, policy.connect_tries, 16));
	cr_expect(strstr(said, "/etc/rssshim/nginx.ini: refused, others") != NULL, "%s", said);
}

Test(policy_start, named_but_missing, .init = make_dir, .fini = remove_dir)
{
	start_named(file);
	cr_expect(strstr(said, "p.ini: no such file; running with defaults\n") != NULL, "%s", said);
	cr_expect(eq(u32, policy.connect_tries, 16));
	start_named(dir);
	cr_expect(strstr(said, ": a directory;") != NULL, "%s", said);
	char longer[550];
	memset(longer, '/', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	start_named(longer);
	cr_expect(strstr(said, ": the path is too long;") != NULL, "%s", said);
	start_named("");
	cr_expect(eq(str, said, ""), "as if it were not set");
}

Test(policy_start, errors_are_logged_once_where_the_policy_says, .init = make_dir,
     .fini = remove_dir)
{
	char log[128], text[256];
	int fd;

	put(file, "[connect]\ntries = x\n");
	start_named(file);
	char *line = strstr(said, "p.ini:2: [connect] tries = x: not a number (");
	cr_assert(line != NULL, "%s", said);
	cr_expect(strstr(line + 1, "p.ini:2") == NULL, "%s", said);

	snprintf(log, sizeof(log), "%s/log", dir);
	snprintf(text, sizeof(text), "[connect]\ntries = x\n[shim]\nlog_file = %s\n", log);
	put(file, text);
	start_named(file);
	cr_expect(eq(str, said, ""));
	fd = open(log, O_RDONLY);
	cr_expect(gt(int, (int)read(fd, said, sizeof(said)), 20));
	cr_expect(strstr(said, "p.ini:2: [connect]") != NULL, "%s", said);
	unlink(log);

	put(file, "[shim]\nlog_file = /nonexistent/log\n");
	start_named(file);
	cr_expect(strstr(said, "log_file /nonexistent/log: no such file; using standard error") !=
			  NULL,
		  "%s", said);
}

Test(policy_start, files_that_others_may_change, .init = make_dir, .fini = remove_dir)
{
	if (geteuid() != 0)
		cr_skip_test("only a program that runs as root refuses");
	put(file, "[connect]\ntries = 1\n");
	static const mode_t modes[] = {0664, 0646, 0666};
	for (size_t i = 0; i < 3; i++) {
		chmod(file, modes[i]);
		start_named(file);
		cr_expect(strstr(said, "refused, others than its owner may write it") != NULL, "%s",
			  said);
		cr_expect(eq(u32, policy.connect_tries, 16));
	}
	chmod(file, 0600);
	cr_expect(eq(int, chown(file, 1234, 0), 0));
	start_named(file);
	cr_expect(strstr(said, "refused, its owner is neither") != NULL, "%s", said);
	cr_expect(eq(u32, policy.connect_tries, 16));
	/* Nobody is harmed where the program has no more rights than the file's owner. */
	chmod(file, 0666);
	chmod(dir, 0755);
	cr_expect(eq(int, seteuid(1234), 0));
	start_named(file);
	cr_expect(eq(str, said, ""));
	cr_expect(eq(u32, policy.connect_tries, 1));
	cr_expect(eq(int, seteuid(0), 0));
}

Test(policy_start, disabled, .init = make_dir, .fini = remove_dir)
{
	char conf[128];
	char *environment[] = {conf, "RSSSHIM_DISABLE=1", NULL};

	put(file, "nonsense\n");
	snprintf(conf, sizeof(conf), "RSSSHIM_CONF=%s", file);
	start("program", environment);
	cr_expect(policy.disabled);
	cr_expect(eq(int, policy.shim_enabled, ENABLED_NO));
	cr_expect(eq(str, said, ""), "not even looked at");
}

static int read_size(size_t size, const char **wrong)
{
	struct policy_text text;
	char *bytes = malloc(size);

	memset(bytes, '\n', size);
	FILE *out = fopen(file, "w");
	cr_assert(eq(sz, fwrite(bytes, 1, size, out), size));
	fclose(out);
	free(bytes);
	int error = policy_text_read(file, false, &text, wrong);
	if (error == 0)
		cr_expect(eq(sz, text.size, size));
	policy_text_release(&text);
	cr_expect(text.text == NULL);
	return error;
}

Test(policy_start, largest_file, .init = make_dir, .fini = remove_dir)
{
	const char *wrong = "";

	cr_expect(eq(int, read_size(0, &wrong), 0));
	cr_expect(eq(int, read_size(POLICY_FILE_MAX, &wrong), 0));
	cr_expect(lt(int, read_size(POLICY_FILE_MAX + 1, &wrong), 0));
	cr_expect(eq(str, (char *)wrong, "larger than 1048576 bytes"));
}

Test(policy_start, a_pipe_that_nobody_writes, .timeout = 5, .init = make_dir, .fini = remove_dir)
{
	cr_expect(eq(int, mkfifo(file, 0600), 0));
	start_named(file);
	cr_expect(eq(u32, policy.connect_tries, 16));
}
