/* The marks of our registrations: each another, each recognised, and nothing of an application's is
 * one. */
#include "shim/group/mark.h"
#include "shim/group/registration.h"
#include <criterion/criterion.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/mman.h>

static struct epoll_event event_with(uint64_t data)
{
	return (struct epoll_event){.events = EPOLLIN, .data.u64 = data};
}

Test(mark, before_the_start_nothing_is_one)
{
	static const uint64_t any[] = {0, 1, 4096, UINT64_MAX};

	for (int i = 0; i < 4; i++) {
		struct epoll_event event = event_with(any[i]);
		cr_expect_not(mark_is(&event));
	}
}

static void check(struct mark mark, uint64_t *last)
{
	struct epoll_event event = event_with(mark_make(mark));
	struct mark back = mark_of(&event);

	cr_assert(mark_is(&event));
	cr_assert_gt(event.data.u64, *last, "another than those before");
	*last = event.data.u64;
	cr_assert_eq(back.kind, mark.kind);
	cr_assert_eq(back.registration, mark.registration);
	cr_assert_eq(back.slot, mark.slot);
}

Test(mark, there_and_back)
{
	uint64_t last = 0;

	cr_assert(mark_start());
	for (unsigned r = 0; r<REGISTRATIONS_MAX; r += r> 3 && r < REGISTRATIONS_MAX - 4 ? 37 : 1) {
		for (unsigned s = 0; s < SLOTS_MAX; s++)
			check((struct mark){MARK_MEMBER, r, (uint16_t)s}, &last);
		check((struct mark){.kind = MARK_DOOR, .registration = r}, &last);
		check((struct mark){.kind = MARK_LISTENER, .registration = r}, &last);
		check((struct mark){.kind = MARK_NEWS, .registration = r}, &last);
	}
}

Test(mark, what_applications_register)
{
	static int in_data;
	int on_stack;
	void *mapped = mmap(NULL, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	cr_assert(mark_start());
	void *later = mmap(NULL, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t first = mark_make((struct mark){MARK_MEMBER, 0, 0});
	uint64_t end = mark_make((struct mark){MARK_MEMBER, REGISTRATIONS_MAX, 0});
	const uint64_t theirs[] = {0,
				   1,
				   1023,
				   INT_MAX,
				   UINT64_MAX,
				   (uint64_t)INT64_MAX,
				   (uint32_t)first, /* a descriptor in the lower half */
				   (uintptr_t)&in_data,
				   (uintptr_t)&on_stack,
				   (uintptr_t)malloc(100),
				   (uintptr_t)malloc(1 << 20),
				   (uintptr_t)mapped,
				   (uintptr_t)later,
				   (uintptr_t)abort,
				   first - 1,
				   end};
	for (unsigned i = 0; i < sizeof(theirs) / sizeof(theirs[0]); i++) {
		struct epoll_event event = event_with(theirs[i]);
		cr_expect_not(mark_is(&event), "%u", i);
	}
	/* Nothing can be put there by accident, and nothing be read. */
	cr_expect_lt((intptr_t)mmap((void *)first, 4096, PROT_READ,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0),
		     0);
}
