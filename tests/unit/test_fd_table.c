/* What is known of descriptors: any number may be asked for, words change whole, by any thread. */
#include "shim/process/fd_table.h"
#include <criterion/criterion.h>
#include <limits.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

Test(fd_table, any_number)
{
	static const int numbers[] = {-1, INT_MIN, INT_MAX, FD_TABLE_MAX, FD_TABLE_MAX + 1};

	for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		cr_expect_eq(fd_get(numbers[i]).kind, FD_UNKNOWN);
		cr_expect_not(fd_set_word(numbers[i], FD_PLAIN, 1));
		fd_forget(numbers[i]);
		cr_expect_not(fd_swap(numbers[i], (struct fd_word){0}, FD_PLAIN, 1));
		cr_expect_eq(fd_get(numbers[i]).kind, FD_UNKNOWN);
	}
	cr_expect_eq(fd_get(0).kind, FD_UNKNOWN);
	cr_expect_eq(fd_get(FD_TABLE_MAX - 1).kind, FD_UNKNOWN);
	fd_forget(5); /* of a part that does not exist yet */
}

Test(fd_table, set_get_forget)
{
	static const int numbers[] = {0, 1, 4095, 4096, 65537, FD_TABLE_MAX - 1};
	unsigned count = sizeof(numbers) / sizeof(numbers[0]);

	for (unsigned i = 0; i < count; i++)
		cr_assert(fd_set_word(numbers[i], FD_LISTENER, UINT32_MAX - i));
	for (unsigned i = 0; i < count; i++) {
		struct fd_word word = fd_get(numbers[i]);
		cr_expect_eq(word.kind, FD_LISTENER);
		cr_expect_eq(word.value, UINT32_MAX - i);
	}
	cr_expect_eq(fd_get(2).kind, FD_UNKNOWN);
	cr_expect_eq(fd_get(4094).kind, FD_UNKNOWN);
	fd_forget(4096);
	cr_expect_eq(fd_get(4096).kind, FD_UNKNOWN);
	cr_expect_eq(fd_get(4096).value, 0);
	cr_expect_eq(fd_get(4095).kind, FD_LISTENER);
}

Test(fd_table, swap)
{
	struct fd_word seen = fd_get(7);

	cr_expect(fd_swap(7, seen, FD_SOCKET, 5));
	cr_expect_not(fd_swap(7, seen, FD_PLAIN, 6), "it is no longer what the caller saw");
	seen = fd_get(7);
	cr_expect_eq(seen.value, 5);
	cr_expect_not(fd_swap(7, (struct fd_word){.kind = FD_SOCKET, .value = 4}, FD_PLAIN, 6));
	cr_expect_not(fd_swap(7, (struct fd_word){.kind = FD_PLAIN, .value = 5}, FD_PLAIN, 6));
	cr_expect(fd_swap(7, seen, FD_PLAIN, 0));
	cr_expect_eq(fd_get(7).kind, FD_PLAIN);
}

static unsigned visited;

static void visit(int fd, uint32_t value, void *argument)
{
	int *last = argument;

	cr_expect_gt(fd, *last, "ascending");
	cr_expect_eq(value, (uint32_t)fd * 3);
	*last = fd;
	visited++;
	if (fd == 20000)
		fd_set_word(20001, FD_OURS, 20001 * 3); /* the table may change meanwhile */
}

Test(fd_table, for_each)
{
	int last = -1;

	fd_for_each(FD_OURS, visit, &last);
	cr_expect_eq(visited, 0);
	for (int fd = 0; fd <= 20000; fd += 50) {
		fd_set_word(fd, FD_OURS, (uint32_t)fd * 3);
		fd_set_word(fd + 1, FD_PLAIN, 0);
	}
	fd_for_each(FD_OURS, visit, &last);
	cr_expect_eq(visited, 402);
}

/* Without memory a descriptor stays unknown, and what is known stays. */
Test(fd_table, no_memory)
{
	struct rlimit now, none;

	fd_set_word(3, FD_PLAIN, 9);
	getrlimit(RLIMIT_AS, &now);
	none = (struct rlimit){.rlim_cur = 1, .rlim_max = now.rlim_max};
	setrlimit(RLIMIT_AS, &none);
	bool set = fd_set_word(500000, FD_PLAIN, 1);
	bool swapped = fd_swap(500000, (struct fd_word){0}, FD_PLAIN, 1);
	bool known = fd_set_word(4, FD_PLAIN, 8);
	setrlimit(RLIMIT_AS, &now);
	cr_expect_not(set);
	cr_expect_not(swapped);
	cr_expect(known);
	cr_expect_eq(fd_get(500000).kind, FD_UNKNOWN);
	cr_expect_eq(fd_get(3).value, 9);
}

#define ROUNDS 200000
#define SHARED 12345

/* Kind and value are always of the same write. */
static void *writer(void *argument)
{
	enum fd_kind kind = *(enum fd_kind *)argument;

	for (int i = 0; i < ROUNDS; i++) {
		fd_set_word(SHARED, kind, kind * 1000u);
		if (i % 16 == 0)
			fd_forget(SHARED);
	}
	return NULL;
}

Test(fd_table, words_change_whole, .timeout = 30)
{
	static enum fd_kind kinds[] = {FD_PLAIN, FD_LISTENER};
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, writer, &kinds[i]);
	for (int i = 0; i < ROUNDS; i++) {
		struct fd_word word = fd_get(SHARED);
		cr_assert(word.kind == FD_UNKNOWN || word.kind == FD_PLAIN ||
			  word.kind == FD_LISTENER);
		cr_assert_eq(word.value, word.kind * 1000u);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}

static pthread_barrier_t both;

static void *one_swap(void *won)
{
	for (int fd = 0; fd < FD_TABLE_MAX; fd += 4096) {
		pthread_barrier_wait(&both); /* each part is new to both of them */
		*(int *)won += fd_swap(fd, (struct fd_word){0}, FD_PLAIN, 1);
	}
	return NULL;
}

Test(fd_table, one_of_two_wins, .timeout = 30)
{
	int won[2] = {0};
	pthread_t other;

	pthread_barrier_init(&both, NULL, 2);
	pthread_create(&other, NULL, one_swap, &won[0]);
	one_swap(&won[1]);
	pthread_join(other, NULL);
	cr_expect_eq(won[0] + won[1], FD_TABLE_MAX / 4096);
}
