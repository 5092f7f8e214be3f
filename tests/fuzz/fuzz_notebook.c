/* What an application learned, in memory that another of its processes wrote anything into. Input:
 * steps of eight bytes: what is done (1), and its arguments. */
#include "shim/kernel/log.h"
#include "shim/learn/notebook_read.h"
#include "shim/learn/study.h"
#include "shim/process/self.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define IFINDEX 7

static void require(int holds)
{
	if (!holds)
		abort();
}

struct step {
	uint8_t what, region;
	uint16_t place;
	uint32_t value;
};

static struct notebook *book;
static struct page fresh;

/* Where writing is likely to matter; each is hit as often as the others. */
static void write_to(struct page *page, const struct step *step)
{
	struct desk *desk = &page->desk[step->region & 1];
	struct learn *learn = &desk->learner.family[step->region >> 1 & 1];
	const struct {
		void *at;
		size_t size;
	} regions[] = {
		{page, offsetof(struct page, print)},
		{&page->print[page->edition % PAGE_PRINTS], sizeof(page->print[0])},
		{&page->note[page->written % NOTEBOOK_NOTES], sizeof(page->note[0])},
		{desk, offsetof(struct desk, learner)},
		{&desk->learner, offsetof(struct learner, family)},
		{learn, offsetof(struct learn, space)},
		{&learn->space, sizeof(learn->space)},
		{&learn->trial, sizeof(learn->trial)},
		{learn->seen, sizeof(learn->seen)},
		{&desk->learner.table, sizeof(desk->learner.table)},
		{&desk->learned, sizeof(desk->learned)},
	};
	size_t region = (step->region >> 2) % (sizeof(regions) / sizeof(regions[0]));

	((volatile uint32_t *)regions[region].at)[step->place % (regions[region].size / 4)] =
		step->value;
}

static struct flow flow_of(const struct step *step)
{
	struct flow flow = {.family = step->region & 128 ? AF_INET6 : AF_INET,
			    .remote_port = step->place,
			    .local_port = (uint16_t)(step->value >> 16)};

	flow.remote[0] = flow.local[0] = 10;
	flow.remote[3] = (uint8_t)step->value;
	return flow;
}

static void read_all(struct page *page)
{
	struct learned learned;
	struct lesson lesson;

	if (page_read(page, &learned))
		require(learned_is_sound(&learned));
	for (unsigned i = 0; i < NOTEBOOK_PAGES; i++) {
		if (!notebook_tell(book, i, &lesson))
			continue;
		require(memchr(lesson.name, 0, sizeof(lesson.name)) && lesson_way(&lesson));
		for (enum flow_family f = 0; f < FLOW_FAMILIES; f++)
			require(lesson_state(&lesson, f) != NULL);
	}
}

static void begin(void)
{
	struct rss_hash reported = {.function = HASH_TOEPLITZ, .key_len = 40};

	require(log_open(LOG_LEVEL_ERROR, NULL) == 0 && self_start());
	require(notebook_make(&book) >= 0);
	struct page *page = notebook_begin(book, IFINDEX, "eth0", &reported);
	/* The other desks and prints are filled as they are used. */
	for (uint16_t port = 1; port < 40; port++) {
		struct step step = {.place = port, .value = (uint32_t)port * 65537u};
		struct flow flow = flow_of(&step);
		page_note(page, &flow, port & 1, -1);
		study(book, page, 1000 + port);
	}
	memcpy(&fresh, page, sizeof(fresh));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t now_ms = 5000;
	struct step step;

	if (!book)
		begin();
	struct page *page = &book->page[0];
	memcpy(page, &fresh, sizeof(fresh));
	for (; size >= sizeof(step); data += sizeof(step), size -= sizeof(step)) {
		memcpy(&step, data, sizeof(step));
		struct flow flow = flow_of(&step);
		switch (step.what % 6) {
		case 0:
		case 1:
			write_to(page, &step);
			break;
		case 2:
			page_note(page, &flow, step.region % 8, step.region & 64 ? 1 : -1);
			break;
		case 3:
			now_ms += step.place;
			study(book, page, now_ms);
			break;
		case 4: {
			uint16_t port = study_probe(page, now_ms, &flow, 1000, 1999, step.value);
			require(!port || (port >= 1000 && port <= 1999));
			break;
		}
		case 5:
			read_all(page);
			require(!notebook_page(book, IFINDEX + 1) ||
				notebook_page(book, IFINDEX + 1)->ifindex == IFINDEX + 1);
			break;
		}
	}
	study(book, page, now_ms + 10000);
	read_all(page);
	return 0;
}
