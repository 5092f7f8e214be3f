/* Shared memory comes whole or not at all, and what is mapped cannot shrink. */
#include "shim/kernel/shared_memory.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define SIZE 12288

Test(shared_memory, two_see_the_same)
{
	void *one, *other;
	int fd = shared_memory_make("test", SIZE, &one);

	cr_assert_geq(fd, 0);
	cr_assert_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	cr_assert_eq(shared_memory_map(fd, SIZE, &other), 0);
	memset(one, 7, SIZE);
	cr_assert_eq(memcmp(one, other, SIZE), 0);
}

Test(shared_memory, keeps_its_size)
{
	void *at;
	int fd = shared_memory_make("test", SIZE, &at);

	cr_assert_eq(ftruncate(fd, 0), -1);
	cr_assert_eq(ftruncate(fd, 2 * SIZE), -1);
	cr_assert_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	cr_assert_eq(shared_memory_map(fd, 2 * SIZE, &at), -EPROTO);
}

Test(shared_memory, maps_nothing_that_could_shrink)
{
	int open_sized = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING), ends[2];
	void *at;

	cr_assert_eq(ftruncate(open_sized, SIZE), 0);
	cr_assert_eq(shared_memory_map(open_sized, SIZE, &at), -EPROTO);
	/* Of these the kernel says with an error that they have no seals. */
	cr_assert_eq(pipe(ends), 0);
	cr_assert_eq(shared_memory_map(ends[0], 0, &at), -EPROTO);
	cr_assert_eq(shared_memory_map(-1, SIZE, &at), -EPROTO);
}

Test(shared_memory, no_signal_where_files_are_limited, .signal = 0)
{
	struct rlimit limit = {.rlim_cur = SIZE - 1, .rlim_max = SIZE - 1};
	void *at;

	signal(SIGXFSZ, SIG_DFL);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	cr_assert_eq(shared_memory_make("test", SIZE, &at), -EFBIG);
	cr_assert_geq(shared_memory_make("test", SIZE - 4096, &at), 0);
}
