/* What processes of an application write down together, and learn from. */
#include "shim/learn/notebook_read.h"
#include "shim/learn/study.h"
#include "shim/process/self.h"
#include "tests/unit/reference.h"
#include <criterion/criterion.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define NIC 7

static union learner_room room;
static struct arrival nic;
static struct notebook *book;
static struct page *page;
static struct learned learned;
static uint64_t state = 1;
static uint64_t now_ms = 1000;
static struct flow server;

static int truth(const struct flow *flow)
{
	return reference_cpu(&nic, reference_hash(&nic.hash, flow));
}

static void begin(void)
{
	uint8_t key[40];

	cr_assert(self_start());
	random_bytes(&state, key, 40);
	arrival_fill(&nic, key, 40, 128, 4, 4);
	server = random_flow(&state, AF_INET);
	cr_assert_geq(notebook_make(&book), 0);
	page = notebook_begin(book, NIC, "eth0", NULL);
	cr_assert_not_null(page);
}

static struct flow connection(void)
{
	struct flow flow = server;

	flow.local_port = (uint16_t)(32768 + random_below(&state, 28000));
	return flow;
}

static void note(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct flow flow = connection();

		page_note(page, &flow, truth(&flow), -1);
	}
}

/* Of a hundred connections, how many are predicted; none wrong. */
static unsigned predicted(void)
{
	unsigned known = 0;

	if (!page_read(page, &learned) || !learned.known[FLOW_IPV4])
		return 0;
	for (unsigned i = 0; i < 100; i++) {
		struct flow flow = connection();
		int cpu = arrival_of(&learned.arrival, &flow).cpu;

		if (cpu < 0)
			continue;
		cr_assert_eq(cpu, truth(&flow));
		known++;
	}
	return known;
}

Test(notebook, what_is_noted_is_learned)
{
	begin();
	cr_expect_eq(notebook_begin(book, NIC, "eth0", NULL), page);
	cr_expect_null(notebook_page(book, NIC + 1));
	cr_expect_not(page_read(page, &learned));
	note(200);
	cr_expect_eq(page_unread(page), 200);
	study(book, page, now_ms);
	cr_expect_eq(page_unread(page), 0);
	cr_expect_eq(page->seen, 200);
	cr_expect_eq(predicted(), 100);
	cr_expect_gt(book->editions, 0);
	cr_expect_gt(page->interval[FLOW_IPV4], 1, "once known, few are looked at");
}

Test(notebook, pages_end)
{
	begin();
	for (unsigned i = 1; i < NOTEBOOK_PAGES; i++)
		cr_expect_not_null(notebook_begin(book, NIC + i, "eth", NULL));
	cr_expect_null(notebook_begin(book, NIC + NOTEBOOK_PAGES, "eth", NULL));
	cr_expect_not_null(notebook_begin(book, NIC + 1, "eth", NULL));
}

/* An interface of before is gone: its page is for the next one, and what was on it is no lesson. */
Test(notebook, pages_of_interfaces_that_are_gone)
{
	uint32_t there[NOTEBOOK_PAGES];

	begin();
	note(200);
	study(book, page, now_ms);
	cr_assert_eq(predicted(), 100);
	for (unsigned i = 1; i < NOTEBOOK_PAGES; i++)
		notebook_begin(book, NIC + i, "eth", NULL);
	for (unsigned i = 0; i < NOTEBOOK_PAGES; i++)
		there[i] = NIC + 1 + i;
	cr_expect_not(notebook_has_room(book));
	page->holder |= now_ms << HOLDER_SHIFT; /* whose holder is still at it */
	note(30);
	notebook_keep(book, there, NOTEBOOK_PAGES);
	cr_expect(notebook_has_room(book));
	cr_expect_null(notebook_page(book, NIC));
	struct page *next = notebook_begin(book, NIC + NOTEBOOK_PAGES, "eth8", NULL);
	cr_assert_eq(next, page);
	cr_expect_str_eq(next->name, "eth8");
	cr_expect_not(notebook_has_room(book));
	cr_expect_not(page_read(page, &learned));
	cr_expect_eq(page_unread(page), 0);
	random_bytes(&state, nic.hash.key, 40);
	note(150);
	study(book, page, now_ms);
	cr_expect_eq(page->seen, 150);
	cr_expect_eq(page->contradicted, 0);
	cr_expect_eq(predicted(), 100);
}

/* Another family that is seen once is no reason to look at each of this one. */
Test(notebook, families_are_curious_apart)
{
	struct flow other = random_flow(&state, AF_INET6);

	begin();
	note(200);
	page_note(page, &other, 1, -1);
	study(book, page, now_ms);
	cr_expect_gt(page->interval[FLOW_IPV4], 1);
	cr_expect_eq(page->interval[FLOW_IPV6], 0);
	for (unsigned i = 0; i < 5000; i++) {
		other.remote_port = (uint16_t)random_below(&state, 65536);
		page_note(page, &other, (int)random_below(&state, 4), -1);
		if (i % 500 == 499)
			study(book, page, now_ms);
	}
	cr_expect_gt(page->interval[FLOW_IPV6], 1, "in vain");
}

/* What is reported changes: tried from then on. */
Test(notebook, another_hash_is_reported)
{
	begin();
	nic.table.size = 128;
	for (unsigned i = 0; i < 128; i++) /* no rule: learned by its key alone */
		nic.table.queue[i] = (uint16_t)(i % 3);
	note(600);
	study(book, page, now_ms);
	cr_expect_eq(predicted(), 0);
	page_report(page, &nic.hash);
	for (unsigned i = 0; i < 10; i++) {
		note(200);
		study(book, page, now_ms);
	}
	cr_expect(page_read(page, &learned));
	cr_expect_eq(learned.way, LEARNER_TABLE);
	cr_expect_gt(predicted(), 90);
}

Test(notebook, a_change_makes_curious_and_is_learned_anew)
{
	begin();
	note(200);
	study(book, page, now_ms);
	cr_expect_eq(predicted(), 100);
	random_bytes(&state, nic.hash.key, 40);
	note(4);
	study(book, page, now_ms);
	cr_expect_eq(page->interval[FLOW_IPV4], 0);
	note(200);
	study(book, page, now_ms);
	cr_expect_eq(predicted(), 100);
	cr_expect_gt(page->contradicted, 0);
	cr_expect_gt(page->forgotten, 0);
}

/* More notes than there is room for, while nobody studied. */
Test(notebook, a_ring_that_was_run_over)
{
	begin();
	note(5 * NOTEBOOK_NOTES + 17);
	study(book, page, now_ms);
	cr_expect_eq(page_unread(page), 0);
	cr_expect_eq(page->seen, NOTEBOOK_NOTES);
	cr_expect_eq(predicted(), 100);
}

/* A writer died between two instructions. */
Test(notebook, a_note_that_was_not_finished)
{
	begin();
	note(10);
	page->note[5].number = 0;
	study(book, page, now_ms);
	cr_expect_eq(page->seen, 5, "it may yet be finished");
	note(200);
	study(book, page, now_ms);
	cr_expect_eq(page->seen, 209);
	cr_expect_eq(predicted(), 100);
}

/* Who studies dies, or is stopped: others take over, and lose nothing of what the ring holds. */
Test(notebook, a_holder_that_does_not_come_back)
{
	begin();
	note(100);
	study(book, page, now_ms);
	page->holder |= now_ms << 16; /* as if it had died inside */
	memset(&page->desk[0].learner.family[0].space, 0x5a, 1000);
	note(100);
	study(book, page, now_ms + 100);
	cr_expect_eq(page_unread(page), 100, "it may be at work");
	study(book, page, now_ms + 3000);
	cr_expect_eq(page_unread(page), 0);
	cr_expect_eq(page->seen, 200);
	cr_expect_eq(predicted(), 100);
	cr_expect_eq(page->holder >> 16, 0);
}

Test(notebook, a_torn_print_is_not_read)
{
	begin();
	note(200);
	study(book, page, now_ms);
	cr_assert(page_read(page, &learned));
	page->print[page->edition % PAGE_PRINTS].learned.arrival.table.queue[3] ^= 1;
	cr_expect_not(page_read(page, &learned));
}

Test(notebook, processes_write_and_study_at_once, .timeout = 30)
{
	begin();
	for (int child = 0; child < 4; child++) {
		if (fork())
			continue;
		state += (uint64_t)child * 1000;
		for (unsigned i = 0; i < 300; i++) {
			note(1);
			study(book, page, now_ms);
		}
		_exit(0);
	}
	for (int child = 0; child < 4; child++)
		wait(NULL);
	study(book, page, now_ms);
	cr_expect_eq(page->written, 1200);
	cr_expect_eq(page_unread(page), 0);
	cr_expect_eq(predicted(), 100);
}

Test(notebook, a_probe_teaches)
{
	unsigned n = 0;

	begin();
	for (; n < 200 && predicted() < 100; n++) {
		struct flow flow = connection();
		uint16_t port = study_probe(page, now_ms, &flow, 32768, 60999, n);

		if (port)
			flow.local_port = port;
		page_note(page, &flow, truth(&flow), -1);
		study(book, page, now_ms);
	}
	cr_expect_lt(n, 60, "%u connections", n);
	page->holder |= now_ms << 16;
	struct flow flow = connection();
	cr_expect_eq(study_probe(page, now_ms, &flow, 32768, 60999, 1), 0, "somebody studies");
}

/* What the command makes of a copy that anybody may have written. */
Test(notebook, what_is_told_is_sound)
{
	static struct lesson lesson;

	begin();
	note(200);
	study(book, page, now_ms);
	cr_assert(notebook_is(book, sizeof(*book)));
	cr_expect_not(notebook_is(book, sizeof(*book) - 1));
	cr_assert(notebook_tell(book, 0, &lesson));
	cr_expect_not(notebook_tell(book, 1, &lesson));
	cr_expect_not(notebook_tell(book, NOTEBOOK_PAGES, &lesson));
	cr_assert(notebook_tell(book, 0, &lesson));
	cr_expect(lesson.any);
	cr_expect_eq(lesson.seen, 200);
	cr_expect_str_eq(lesson_way(&lesson), "linear rule");
	cr_expect_str_eq(lesson_state(&lesson, FLOW_IPV4), "known");
	memset(page->name, '\033', sizeof(page->name));
	page->print[page->edition % PAGE_PRINTS].sum ^= 1;
	cr_assert(notebook_tell(book, 0, &lesson));
	cr_expect_not(lesson.any);
	cr_expect_str_eq(lesson.name, "???????????????");
	book->abi++;
	cr_expect_not(notebook_is(book, sizeof(*book)));
}

/* Whatever is in the memory: nothing is read or written outside of it. It lies between pages that
 * must not be touched. */
Test(notebook, anything_at_all_in_the_memory, .timeout = 60)
{
	size_t size = (sizeof(struct notebook) + 4095) & ~(size_t)4095;
	char *guarded = mmap(NULL, size + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	cr_assert_eq(mprotect(guarded + 4096, size, PROT_READ | PROT_WRITE), 0);
	begin();
	book = (struct notebook *)(guarded + 4096);
	server = random_flow(&state, AF_INET);
	for (unsigned round = 0; round < 200; round++) {
		page = &book->page[round % 2 ? 0 : NOTEBOOK_PAGES - 1];
		if (round % 8 < 2) {
			random_bytes(&state, (uint8_t *)page, sizeof(*page));
		} else { /* something sound, and then damage here and there */
			memset(page, 0, sizeof(*page));
			note(60 + 20 * (round % 7));
			study(book, page, now_ms);
			for (unsigned i = 0; i < 40; i++)
				random_bytes(&state,
					     (uint8_t *)page +
						     random_below(&state, sizeof(*page) - 8),
					     1 + round % 8);
		}
		page->state = PAGE_SET;
		page->holder &= 0xffff;
		note(100);
		study(book, page, now_ms);
		struct flow flow = connection();
		study_probe(page, now_ms, &flow, 1, 65535, round);
		page_read(page, &learned);
		for (unsigned d = 0; d < PAGE_DESKS; d++)
			if (learner_is_sound(&page->desk[d].learner))
				learner_conclude(&page->desk[d].learner, &learned, &room);
	}
}
