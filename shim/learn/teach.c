#include "shim/learn/teach.h"
#include "shim/kernel/clock.h"
#include "shim/kernel/log.h"
#include "shim/kernel/sys.h"
#include "shim/learn/study.h"
#include "shim/process/fd_table.h"
#include "shim/process/own_fd.h"
#include "shim/process/self.h"
#include <fcntl.h>
#include <stddef.h>

/* Who only connects never waits where we see it: it studies itself, so many notes at a time. */
#define UNREAD_MAX 16

static struct notebook *_Atomic notebook;
static int descriptor = -1;

static struct notebook *book(void)
{
	return atomic_load_explicit(&notebook, memory_order_acquire);
}

void teach_inherit(int fd)
{
	if (fd < 0 || !fd_set_word(fd, FD_OURS, 0))
		return;
	sys(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC);
	descriptor = fd;
	own_fd_hold(&descriptor);
}

static bool take_inherited(void)
{
	struct notebook *inherited;

	if (descriptor >= 0 && !notebook_map(descriptor, &inherited)) {
		notebook = inherited;
		return true;
	}
	own_fd_close(descriptor);
	descriptor = -1;
	return false;
}

void teach_start(void)
{
	struct notebook *made;

	if (book() || take_inherited())
		return;
	int fd = notebook_make(&made);
	if (fd < 0) {
		log_info("nothing is learned: the memory for it was refused (error %d)", -fd);
		return;
	}
	descriptor = own_fd(fd);
	own_fd_hold(&descriptor);
	notebook = made;
}

int teach_descriptor(void)
{
	return descriptor;
}

uint32_t teach_edition(void)
{
	const struct notebook *b = book();

	return b ? atomic_load_explicit(&b->editions, memory_order_acquire) : 0;
}

static struct page *page_of(uint32_t ifindex)
{
	return book() ? notebook_page(book(), ifindex) : NULL;
}

bool teach_learned(uint32_t ifindex, struct learned *out)
{
	const struct page *page = page_of(ifindex);

	return page && page_read(page, out);
}

uint64_t teach_disproved(uint32_t ifindex)
{
	const struct page *page = page_of(ifindex);

	return page ? page->disproved : 0;
}

static struct page *begin(uint32_t ifindex, const char *name, const struct rss_hash *reported)
{
	struct page *page = book() ? notebook_begin(book(), ifindex, name, reported) : NULL;

	if (book() && !page)
		log_once(LOG_LEVEL_INFO, "%s: nothing is learned of it, %d other interfaces are",
			 name, NOTEBOOK_PAGES);
	return page;
}

void teach_disprove(uint32_t ifindex, const char *name, const struct arrival *reported)
{
	struct page *page = begin(ifindex, name, &reported->hash);

	if (!page)
		return;
	page->disproved = arrival_fingerprint(reported);
	atomic_fetch_add(&book()->editions, 1);
}

unsigned teach_interval(uint32_t ifindex)
{
	const struct page *page = page_of(ifindex);
	unsigned interval = page ? page->interval : 0;

	return interval ? interval : 1;
}

bool teach_is_curious(void)
{
	const struct notebook *b = book();

	for (unsigned i = 0; b && i < NOTEBOOK_PAGES && b->page[i].state == PAGE_SET; i++)
		if (!b->page[i].interval)
			return true;
	return b && b->page[0].state != PAGE_SET;
}

void teach(uint32_t ifindex, const char *name, const struct rss_hash *reported,
	   const struct flow *flow, int cpu, int own_cpu)
{
	struct page *page = begin(ifindex, name, reported);

	if (!page)
		return;
	page_note(page, flow, cpu, own_cpu);
	if (page_unread(page) >= UNREAD_MAX)
		study(book(), page, clock_ms());
}

void teach_study(uint64_t now_ms)
{
	struct notebook *b = book();

	for (unsigned i = 0; b && i < NOTEBOOK_PAGES; i++) {
		struct page *page = &b->page[i];

		if (page->state != PAGE_SET)
			return;
		if (page_unread(page))
			study(b, page, now_ms);
	}
}

uint16_t teach_probe(uint32_t ifindex, const struct flow *flow, uint16_t lo, uint16_t hi,
		     bool learned, uint64_t now_ms)
{
	static __thread uint64_t random;
	struct page *page = page_of(ifindex);

	/* Threads, and processes of one fork, must not probe the same ports. */
	random = (random ^ (uint64_t)self_tid() << 32 ^ now_ms) * 6364136223846793005u +
		 1442695040888963407u;
	if (page && page->interval)
		return 0;
	uint16_t port = page ? study_probe(page, now_ms, flow, lo, hi, random) : 0;
	return port || learned ? port : (uint16_t)(lo + ((random >> 32) * (hi - lo + 1u) >> 32));
}
