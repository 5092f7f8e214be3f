/* Only programs that would load the library are taken for such. */
#include "shim/process/program.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/rssshim-program.XXXXXX";

static void begin(void)
{
	cr_assert(mkdtemp(directory));
	cr_assert_eq(chdir(directory), 0);
}

static void end(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", directory);
	cr_expect_eq(system(command), 0);
}

TestSuite(program, .init = begin, .fini = end);

static void write_file(const char *name, const void *bytes, size_t size, mode_t mode)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	cr_assert_eq(write(fd, bytes, size), (ssize_t)size);
	cr_assert_eq(fchmod(fd, mode), 0);
	close(fd);
}

/* As many bytes of this very program. */
static void copy_self(const char *name, size_t most, mode_t mode)
{
	static char bytes[1 << 24];
	int fd = open("/proc/self/exe", O_RDONLY);
	ssize_t size = read(fd, bytes, sizeof(bytes));

	close(fd);
	cr_assert_gt(size, 64);
	write_file(name, bytes, (size_t)size < most ? (size_t)size : most, mode);
}

Test(program, dynamic)
{
	copy_self("program", SIZE_MAX, 0755);
	cr_expect(program_preloads("/proc/self/exe"));
	cr_expect(program_preloads("./program"));
	setenv("PATH", "/nowhere::/bin", 1);
	cr_expect(program_preloads("program"));
	setenv("PATH", "/nowhere:/bin", 1);
	cr_expect(!program_preloads("program"));
	cr_expect(program_preloads("ls"));
}

Test(program, fixed)
{
	static const char source[] = "int main(void) { return 0; }\n";

	write_file("fixed.c", source, sizeof(source) - 1, 0644);
	cr_assert_eq(system("cc -static -o fixed fixed.c"), 0);
	cr_expect(!program_preloads("./fixed"));
	cr_assert_eq(system("cc -static-pie -o fixed fixed.c"), 0);
	cr_expect(!program_preloads("./fixed"));
}

Test(program, privileged)
{
	copy_self("program", SIZE_MAX, 0755);
	if (chown("program", 4000000, 4000001))
		cr_skip_test("needs root");
	for (mode_t mode = 0; mode <= 06000; mode += 02000) {
		chmod("program", mode | 0755);
		cr_expect_eq(program_preloads("./program"), mode == 0, "%o", mode);
	}
	chmod("program", 02745);
	cr_expect(program_preloads("./program"), "that is a lock, not a set-id program");
	chmod("program", 06755);
	cr_assert_eq(chown("program", getuid(), getgid()), 0);
	chmod("program", 06755);
	cr_expect(program_preloads("./program"), "its own user's");
}

Test(program, script)
{
	char cut[PROGRAM_TEXT];
	static const char good[] = "#! /bin/sh -e\n", deep[] = "#!./good\n", own[] = "#!./own\n";

	write_file("good", good, sizeof(good) - 1, 0755);
	write_file("deep", deep, sizeof(deep) - 1, 0755);
	write_file("own", own, sizeof(own) - 1, 0755);
	write_file("none", "#!\n", 3, 0755);
	write_file("unended", "#!/bin/sh", 9, 0755);
	memset(cut, '/', sizeof(cut));
	memcpy(cut, "#!", 2);
	memcpy(cut + sizeof(cut) - 6, "bin/sh", 6);
	write_file("cut", cut, sizeof(cut), 0755);
	cr_expect(program_preloads("./unended"), "as the kernel has it");
	cr_expect(program_preloads("./good"));
	cr_expect(program_preloads("./deep"));
	cr_expect(!program_preloads("./own"));
	cr_expect(!program_preloads("./none"));
	cr_expect(!program_preloads("./cut"));
}

Test(program, broken)
{
	for (size_t size = 1; size < 1000; size += 13) {
		copy_self("cut", size, 0755);
		program_preloads("./cut");
	}
	copy_self("cut", 70, 0755);
	cr_expect(!program_preloads("./cut"));
	copy_self("plain", SIZE_MAX, 0644);
	cr_expect(!program_preloads("./plain"));
	cr_expect(!program_preloads("./missing"));
	cr_expect(!program_preloads("."));
	cr_expect(!program_preloads(""));
}
