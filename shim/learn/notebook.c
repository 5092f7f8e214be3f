#include "shim/learn/notebook.h"
#include "shim/kernel/shared_memory.h"
#include "shim/kernel/sys.h"
#include <errno.h>
#include <stddef.h>
#include <string.h>

int notebook_make(struct notebook **book)
{
	void *memory;
	int fd = shared_memory_make(NOTEBOOK_NAME, sizeof(**book), &memory);

	if (fd < 0)
		return fd;
	*book = memory;
	(*book)->abi = NOTEBOOK_ABI;
	(*book)->size = sizeof(**book);
	(*book)->magic = NOTEBOOK_MAGIC;
	return fd;
}

int notebook_map(int fd, struct notebook **book)
{
	void *memory;
	int ret = shared_memory_map(fd, sizeof(**book), &memory);

	if (ret)
		return ret;
	*book = memory;
	if ((*book)->magic == NOTEBOOK_MAGIC && (*book)->abi == NOTEBOOK_ABI &&
	    (*book)->size == sizeof(**book))
		return 0;
	sys(SYS_munmap, memory, sizeof(**book));
	return -EPROTO;
}

struct page *notebook_page(struct notebook *book, uint32_t ifindex)
{
	for (unsigned i = 0; i < NOTEBOOK_PAGES; i++) {
		struct page *page = &book->page[i];
		uint32_t state = atomic_load_explicit(&page->state, memory_order_acquire);

		if (state == PAGE_FREE)
			return NULL;
		if (state == PAGE_SET && page->ifindex == ifindex)
			return page;
	}
	return NULL;
}

static bool change_state(struct page *page, uint32_t from, uint32_t to)
{
	return atomic_compare_exchange_strong(&page->state, &from, to);
}

/* Whoever is at a desk of the interface before finds that it is not his any more. */
static void clear(struct page *page)
{
	uint64_t claim = page->holder & CLAIM_MASK;

	page->holder = (claim + 1) & CLAIM_MASK;
	page->edition = 0;
	page->first = page->read = page->written;
	page->disproved = 0;
	for (unsigned f = 0; f < FLOW_FAMILIES; f++)
		page->interval[f] = 0;
	page->seen = page->contradicted = page->forgotten = page->said = 0;
	memset(page->name, 0, sizeof(page->name));
	memset(&page->reported, 0, sizeof(page->reported));
}

struct page *notebook_begin(struct notebook *book, uint32_t ifindex, const char *name,
			    const struct rss_hash *reported)
{
	struct page *page = notebook_page(book, ifindex);

	/* Of two that begin the same page at once, the one that is found first is used by both
	 * from then on. */
	for (unsigned i = 0; !page && i < NOTEBOOK_PAGES; i++) {
		struct page *next = &book->page[i];

		if (change_state(next, PAGE_GONE, PAGE_CLAIMED))
			clear(next);
		else if (!change_state(next, PAGE_FREE, PAGE_CLAIMED))
			continue;
		page = next;
		page->ifindex = ifindex;
		strncpy(page->name, name, sizeof(page->name) - 1);
		if (reported)
			page_report(page, reported);
		atomic_store_explicit(&page->state, PAGE_SET, memory_order_release);
	}
	return page;
}

bool notebook_has_room(const struct notebook *book)
{
	for (unsigned i = 0; i < NOTEBOOK_PAGES; i++)
		if (book->page[i].state == PAGE_FREE || book->page[i].state == PAGE_GONE)
			return true;
	return false;
}

void notebook_keep(struct notebook *book, const uint32_t *ifindex, unsigned count)
{
	for (unsigned i = 0; i < NOTEBOOK_PAGES; i++) {
		struct page *page = &book->page[i];
		bool there = false;

		if (page->state != PAGE_SET)
			continue;
		for (unsigned k = 0; k < count; k++)
			there |= ifindex[k] == page->ifindex;
		if (!there)
			change_state(page, PAGE_SET, PAGE_GONE);
	}
}

/* Read by others as it changes, at worst: a hash that is none explains nothing. */
void page_report(struct page *page, const struct rss_hash *reported)
{
	page->reported = *reported;
	atomic_fetch_add(&page->reports, 1);
}

uint64_t page_oldest(const struct page *page, uint64_t written)
{
	uint64_t first = page->first;
	uint64_t kept = written > NOTEBOOK_NOTES ? written - NOTEBOOK_NOTES : 0;

	return kept > first || first > written ? kept : first;
}

void page_note(struct page *page, const struct flow *flow, int cpu, int own_cpu)
{
	uint64_t number = atomic_fetch_add_explicit(&page->written, 1, memory_order_relaxed);
	struct note *note = &page->note[number % NOTEBOOK_NOTES];

	atomic_store_explicit(&note->number, 0, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	note->cpu = (int16_t)cpu;
	note->own_cpu = (int16_t)own_cpu;
	note->flow = *flow;
	atomic_store_explicit(&note->number, (uint32_t)number + 1, memory_order_release);
}

static uint64_t sum_of(const struct learned *learned)
{
	_Static_assert(sizeof(*learned) % sizeof(uint64_t) == 0, "nothing is left over");
	const char *bytes = (const char *)learned;
	uint64_t sum = sizeof(*learned);

	for (size_t i = 0; i < sizeof(*learned); i += sizeof(uint64_t)) {
		uint64_t word;

		memcpy(&word, bytes + i, sizeof(word));
		sum = (sum ^ word) * 0x9e3779b97f4a7c15u;
		sum ^= sum >> 32;
	}
	return sum;
}

void page_print(struct notebook *book, struct page *page, const struct learned *learned)
{
	uint32_t edition = page->edition + 1;
	struct print *print = &page->print[edition % PAGE_PRINTS];

	memcpy(&print->learned, learned, sizeof(*learned));
	atomic_store_explicit(&print->sum, sum_of(learned), memory_order_relaxed);
	atomic_store_explicit(&page->edition, edition, memory_order_release);
	atomic_fetch_add_explicit(&book->editions, 1, memory_order_release);
}

bool page_read(const struct page *page, struct learned *out)
{
	uint32_t edition = atomic_load_explicit(&page->edition, memory_order_acquire);
	const struct print *print = &page->print[edition % PAGE_PRINTS];

	if (!edition)
		return false;
	memcpy(out, &print->learned, sizeof(*out));
	atomic_thread_fence(memory_order_acquire);
	return sum_of(out) == atomic_load_explicit(&print->sum, memory_order_relaxed) &&
	       learned_is_sound(out);
}
