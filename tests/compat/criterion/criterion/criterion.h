/* What the unit tests use of Criterion, for where the real one does not run: under an emulator its
 * sandbox cannot start. Each test is a child process; TAP on standard output, or in --tap=FILE. */
#pragma once
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct cr_extra {
	void (*init)(void);
	void (*fini)(void);
	double timeout;
	int signal;
};

struct cr_test {
	const char *suite, *name;
	void (*run)(void);
	struct cr_extra (*extra)(void), (*suite_extra)(void);
	struct cr_test *next;
};

#define CR_SKIPPED 77

__attribute__((weak)) struct cr_test *cr_tests;
__attribute__((weak)) int cr_failures;

/* A suite without TestSuite() has the weak one, which says nothing. */
#define TestSuite(suite, ...)                                          \
	struct cr_extra cr_suite_##suite(void);                        \
	struct cr_extra cr_suite_##suite(void)                         \
	{                                                              \
		return (struct cr_extra){.timeout = 0, ##__VA_ARGS__}; \
	}
#define Test(suite_name, test_name, ...)                                               \
	__attribute__((weak)) struct cr_extra cr_suite_##suite_name(void);             \
	static void suite_name##_##test_name##_run(void);                              \
	static struct cr_extra suite_name##_##test_name##_extra(void)                  \
	{                                                                              \
		return (struct cr_extra){.timeout = 0, ##__VA_ARGS__};                 \
	}                                                                              \
	__attribute__((constructor)) static void suite_name##_##test_name##_join(void) \
	{                                                                              \
		static struct cr_test test = {#suite_name, #test_name,                 \
					      suite_name##_##test_name##_run,          \
					      suite_name##_##test_name##_extra};       \
		test.suite_extra = cr_suite_##suite_name;                              \
		test.next = cr_tests;                                                  \
		cr_tests = &test;                                                      \
	}                                                                              \
	static void suite_name##_##test_name##_run(void)

static inline void cr_check(bool good, bool fatal, const char *file, int line, const char *text)
{
	if (good)
		return;
	printf("# %s:%d: %s\n", file, line, text);
	fflush(stdout);
	cr_failures++;
	if (fatal)
		_exit(1);
}

#define CR(fatal, good, text) cr_check(good, fatal, __FILE__, __LINE__, text)
#define cr_skip_test(...)     _exit(CR_SKIPPED)
#define cr_skip(...)          _exit(CR_SKIPPED)
#define cr_log_info(...)      ((void)0)
#define cr_assert_fail(...)   CR(true, false, "reached")

#define cr_assert(x, ...)              CR(true, !!(x), #x)
#define cr_expect(x, ...)              CR(false, !!(x), #x)
#define cr_assert_not(x, ...)          CR(true, !(x), "not " #x)
#define cr_expect_not(x, ...)          CR(false, !(x), "not " #x)
#define cr_assert_eq(a, b, ...)        CR(true, (a) == (b), #a " == " #b)
#define cr_expect_eq(a, b, ...)        CR(false, (a) == (b), #a " == " #b)
#define cr_assert_neq(a, b, ...)       CR(true, (a) != (b), #a " != " #b)
#define cr_expect_neq(a, b, ...)       CR(false, (a) != (b), #a " != " #b)
#define cr_assert_gt(a, b, ...)        CR(true, (a) > (b), #a " > " #b)
#define cr_expect_gt(a, b, ...)        CR(false, (a) > (b), #a " > " #b)
#define cr_assert_geq(a, b, ...)       CR(true, (a) >= (b), #a " >= " #b)
#define cr_expect_geq(a, b, ...)       CR(false, (a) >= (b), #a " >= " #b)
#define cr_assert_lt(a, b, ...)        CR(true, (a) < (b), #a " < " #b)
#define cr_expect_lt(a, b, ...)        CR(false, (a) < (b), #a " < " #b)
#define cr_assert_leq(a, b, ...)       CR(true, (a) <= (b), #a " <= " #b)
#define cr_expect_leq(a, b, ...)       CR(false, (a) <= (b), #a " <= " #b)
#define cr_assert_null(x, ...)         CR(true, !(x), #x " is NULL")
#define cr_expect_null(x, ...)         CR(false, !(x), #x " is NULL")
#define cr_assert_not_null(x, ...)     CR(true, (x), #x " is not NULL")
#define cr_expect_not_null(x, ...)     CR(false, (x), #x " is not NULL")
#define cr_expect_str_eq(a, b, ...)    CR(false, !strcmp(a, b), #a " is " #b)
#define cr_assert_str_eq(a, b, ...)    CR(true, !strcmp(a, b), #a " is " #b)
#define cr_expect_str_neq(a, b, ...)   CR(false, !!strcmp(a, b), #a " is not " #b)
#define cr_expect_arr_eq(a, b, n, ...) CR(false, !memcmp(a, b, n), #a " is " #b)
#define cr_assert_arr_eq(a, b, n, ...) CR(true, !memcmp(a, b, n), #a " is " #b)

static inline void cr_run(const struct cr_test *test, struct cr_extra of, struct cr_extra suite)
{
	/* An emulator takes longer. */
	alarm(10 * (unsigned)(of.timeout ? of.timeout : suite.timeout ? suite.timeout : 10));
	if (suite.init)
		suite.init();
	if (of.init)
		of.init();
	test->run();
	if (of.fini)
		of.fini();
	if (suite.fini)
		suite.fini();
	exit(cr_failures ? 1 : 0);
}

__attribute__((weak)) int main(void)
{
	int failed = 0, count = 0, status;

	for (const struct cr_test *test = cr_tests; test; test = test->next) {
		struct cr_extra of = test->extra(), suite = {0};
		if (test->suite_extra)
			suite = test->suite_extra();
		fflush(stdout);
		pid_t child = fork();
		if (!child)
			cr_run(test, of, suite);
		waitpid(child, &status, 0);
		bool skipped = WIFEXITED(status) && WEXITSTATUS(status) == CR_SKIPPED;
		bool good =
			skipped || (of.signal ? WIFSIGNALED(status) && WTERMSIG(status) == of.signal
					      : WIFEXITED(status) && !WEXITSTATUS(status));
		printf("%s %d - %s::%s%s\n", good ? "ok" : "not ok", ++count, test->suite,
		       test->name, skipped ? " # SKIP it says so" : "");
		failed += !good;
	}
	printf("1..%d\n", count);
	return failed ? 1 : 0;
}
