/* What a program was started with, and whether it would be started so again. */
#include "shim/process/surroundings.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME "test_surroundings"

static char *environment_at_start[600];

static void start_with(const char *const *variables)
{
	int count = 0;

	for (; variables[count]; count++)
		environment_at_start[count] = strdup(variables[count]);
	environment_at_start[count] = NULL;
	surroundings_start(environment_at_start, NULL);
}

static const char *usual[] = {"PATH=/bin",
			      "RSSSHIM_INHERIT=7",
			      "LD_PRELOAD=/opt/x/librssshim.so",
			      "RSSSHIM_CONF=/etc/a.ini",
			      "RSSSHIMOTHER=1",
			      "HOME=/",
			      NULL};

static bool has(char *const *environment, const char *entry)
{
	for (; *environment; environment++)
		if (!strcmp(*environment, entry))
			return true;
	return false;
}

Test(surroundings, what_is_for_us_alone_is_taken_out)
{
	start_with(usual);
	cr_expect_str_eq(surroundings_inherited(), "7");
	cr_expect_not(has(environment_at_start, "RSSSHIM_INHERIT=7"));
	for (int i = 0; usual[i]; i++)
		cr_expect_eq(has(environment_at_start, usual[i]), i != 1, "%s", usual[i]);
}

Test(surroundings, nothing_was_inherited)
{
	static const char *none[] = {NULL};

	start_with(none);
	cr_expect_null(surroundings_inherited());
}

Test(surroundings, no_environment)
{
	char *out[2] = {(char *)1, (char *)1};

	surroundings_start(NULL, NULL);
	cr_expect_null(surroundings_inherited());
	cr_expect_eq(surroundings_copy(NULL, true, out, 2), 0);
	cr_expect_null(out[0]);
	cr_expect_not(surroundings_preloads(NULL));
}

Test(surroundings, restored)
{
	char *rebuilt[] = {"TZ=UTC", "RSSSHIM_CONF=/etc/b.ini", NULL};
	char *out[10];

	start_with(usual);
	/* The application overwrites the memory its environment was in. */
	for (int i = 0; environment_at_start[i]; i++)
		memset(environment_at_start[i], 'x', strlen(environment_at_start[i]));
	cr_assert_eq(surroundings_copy(rebuilt, true, out, 10), 3);
	cr_expect_null(out[3]);
	cr_expect(has(out, "TZ=UTC"));
	cr_expect(has(out, "RSSSHIM_CONF=/etc/b.ini"), "what it sets itself stays");
	cr_expect(has(out, "LD_PRELOAD=/opt/x/librssshim.so"));
	cr_expect_not(has(out, "PATH=/bin"), "what is not ours it may have taken out on purpose");
}

Test(surroundings, other_libraries_are_not_brought_back)
{
	static const char *many[] = {"LD_PRELOAD=/opt/a.so /opt/notlibrssshim.so:"
				     "/opt/x/librssshim.so::/opt/b.so",
				     NULL};
	char *others[] = {"LD_PRELOAD=/opt/a.so", NULL};
	char *out[10];

	start_with(many);
	cr_assert_eq(surroundings_copy(NULL, true, out, 10), 1);
	cr_expect_str_eq(out[0], "LD_PRELOAD=/opt/x/librssshim.so");
	cr_expect(surroundings_preloads(out));
	cr_expect(surroundings_preloads((char *const *)many));
	cr_expect_eq(surroundings_copy(others, true, out, 10), 1, "what it sets itself stays");
	cr_expect_str_eq(out[0], others[0]);
}

Test(surroundings, room)
{
	char *rebuilt[] = {"A=1", "B=2", NULL};
	char *out[6];

	start_with(usual);
	memset(out, 0xee, sizeof(out));
	for (int room = 1; room < 5; room++)
		cr_expect_eq(surroundings_copy(rebuilt, true, out, room), -1, "room for %d", room);
	cr_expect_eq(surroundings_copy(rebuilt, true, out, 5), 4);
	cr_expect_neq(out[5], NULL, "nothing behind it was written");
}

Test(surroundings, more_than_can_be_kept)
{
	static char *many[601];
	static char *out[1000];
	static char longest[40000];
	int count = 0;

	memset(longest, 'v', sizeof(longest) - 1);
	memcpy(longest, "RSSSHIM_LONG=", 13);
	many[count++] = longest;
	for (; count < 600; count++)
		cr_assert_gt(asprintf(&many[count], "RSSSHIM_NIC_ETH%d_HASH=auto", count), 0);
	surroundings_start(many, NULL);
	int kept = surroundings_copy(NULL, true, out, 1000);
	cr_expect_eq(kept, SURROUNDINGS_KEPT_MAX);
	cr_expect(has(out, "RSSSHIM_NIC_ETH1_HASH=auto"));
	cr_expect_not(has(out, longest));
}

Test(surroundings, an_inheritance_too_long_to_keep)
{
	static char longest[40000];
	char *variables[] = {longest, "A=1", NULL};

	memset(longest, '1', sizeof(longest) - 1);
	memcpy(longest, "RSSSHIM_INHERIT=", 16);
	surroundings_start(variables, NULL);
	cr_expect_null(surroundings_inherited());
	cr_expect_str_eq(variables[0], "A=1");
	cr_expect_null(variables[1]);
}

Test(surroundings, the_own_program)
{
	start_with(usual);
	cr_expect(surroundings_is_own_program(NAME));
	cr_expect(surroundings_is_own_program("./" NAME));
	cr_expect(surroundings_is_own_program("/usr/sbin/" NAME));
	cr_expect_not(surroundings_is_own_program("/usr/sbin/" NAME "2"));
	cr_expect_not(surroundings_is_own_program("/usr/sbin/test_surrounding"));
	cr_expect_not(surroundings_is_own_program("/" NAME "/sh"));
	cr_expect_not(surroundings_is_own_program("/" NAME "/"));
	cr_expect_not(surroundings_is_own_program(""));
	cr_expect_not(surroundings_is_own_program("/"));
}

Test(surroundings, preloads)
{
	char *with[] = {"A=1", "LD_PRELOAD=/other.so /opt/x/librssshim.so", NULL};
	char *other[] = {"LD_PRELOAD=/other.so", NULL};
	char *prefix[] = {"LD_PRELOADX=/opt/x/librssshim.so", NULL};
	char *none[] = {"A=1", NULL};

	start_with(usual);
	cr_expect(surroundings_preloads(with));
	cr_expect_not(surroundings_preloads(other));
	cr_expect_not(surroundings_preloads(prefix));
	cr_expect_not(surroundings_preloads(none));
}

Test(surroundings, copied)
{
	char *rebuilt[] = {"TZ=UTC", NULL};
	char *out[10];

	start_with(usual);
	cr_assert_eq(surroundings_copy(rebuilt, false, out, 10), 1);
	cr_expect_str_eq(out[0], "TZ=UTC");
	cr_expect_null(out[1]);
	cr_expect_eq(surroundings_copy(rebuilt, false, out, 1), -1);
}

/* What an exec carries along is for this library only, where the next program will find it. */
Test(surroundings, the_library)
{
	char directory[] = "/tmp/surroundings-XXXXXX", path[64], other[64];
	char *none[] = {NULL};

	cr_assert_not_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/lib.so", directory);
	snprintf(other, sizeof(other), "%s/other.so", directory);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	close(open(other, O_CREAT | O_WRONLY, 0600));
	surroundings_start(none, path);
	cr_expect(surroundings_has_library());
	cr_assert_eq(rename(other, path), 0);
	cr_expect_not(surroundings_has_library(), "replaced");
	surroundings_start(none, path);
	cr_expect(surroundings_has_library());
	cr_assert_eq(unlink(path), 0);
	cr_expect_not(surroundings_has_library(), "gone");
	rmdir(directory);
	surroundings_start(none, NULL);
	cr_expect_not(surroundings_has_library(), "not known");
}

/* Preloaded by /etc/ld.so.preload: then our name has to do. */
Test(surroundings, preloads_without_a_variable_of_our_own)
{
	static const char *bare[] = {"A=1", NULL};
	char *with[] = {"LD_PRELOAD=/anywhere/librssshim.so", NULL};
	char *other[] = {"LD_PRELOAD=/other.so", NULL};

	start_with(bare);
	cr_expect(surroundings_preloads(with));
	cr_expect_not(surroundings_preloads(other));
}
