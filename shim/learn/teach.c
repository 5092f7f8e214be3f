#include "shim/learn/teach.h"
#include "shim/decide/keyed_hash.h"
#include "shim/kernel/clock.h"
#include "shim/kernel/log.h"
#include "shim/kernel/random.h"
#include "shim/kernel/sys.h"
#include "shim/learn/study.h"
#include "shim/process/hot.h"
#include "shim/process/own_fd.h"
#include "shim/process/self.h"
#include <fcntl.h>
#include <stddef.h>
#include <string.h>

/* Where nobody waits where we see it, as in programs that only connect, those who tell study
 * themselves, so many notes at a time. Who waits does so for a fraction of a second at a time. */
#define UNREAD_MAX 16
#define WAITS_MS   1000
#define SAYS_MS    100

HOT_DATA static struct notebook *_Atomic notebook;
static int descriptor = -1;
HOT_DATA _Atomic bool teach_told;

static struct notebook *book(void)
{
	return atomic_load_explicit(&notebook, memory_order_acquire);
}

void teach_inherit(int fd)
{
	if (fd < 0 || !own_fd_mark(fd))
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

bool teach_is_there(void)
{
	return book();
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

bool teach_has_told(uint32_t ifindex)
{
	const struct page *page = page_of(ifindex);

	return page && page->edition;
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
	page_report(page, &reported->hash);
	page->disproved = arrival_fingerprint(reported);
	atomic_fetch_add(&book()->editions, 1);
}

void teach_believe(uint32_t ifindex, uint64_t disproved)
{
	struct page *page = page_of(ifindex);

	if (page)
		atomic_compare_exchange_strong(&page->disproved, &disproved, 0);
}

unsigned teach_interval(uint32_t ifindex, enum flow_family family)
{
	const struct page *page = page_of(ifindex);

	if (!page)
		return book() && notebook_has_room(book());
	return page->interval[family] ? page->interval[family] : 1;
}

bool teach_is_curious(void)
{
	const struct notebook *b = book();
	bool any = false;

	for (unsigned i = 0; b && i < NOTEBOOK_PAGES; i++) {
		const struct page *page = &b->page[i];
		uint32_t state = atomic_load_explicit(&page->state, memory_order_relaxed);

		if (state == PAGE_FREE)
			break;
		if (state != PAGE_SET)
			continue;
		if (!page->interval[FLOW_IPV4] || !page->interval[FLOW_IPV6])
			return true;
		any = true;
	}
	return b && !any;
}

void teach_keep(const uint32_t *ifindex, unsigned count)
{
	if (book())
		notebook_keep(book(), ifindex, count);
}

static bool nobody_waits(const struct notebook *b, uint64_t now_ms)
{
	return (int64_t)(now_ms - b->waited_ms) > WAITS_MS;
}

void teach(uint32_t ifindex, const char *name, const struct rss_hash *reported,
	   const struct flow *flow, int cpu, int own_cpu)
{
	struct page *page = begin(ifindex, name, reported);

	if (!page)
		return;
	page_note(page, flow, cpu, own_cpu);
	teach_told = true;
	if (page_unread(page) < UNREAD_MAX)
		return;
	uint64_t now_ms = clock_ms();
	if (nobody_waits(book(), now_ms))
		study(book(), page, now_ms);
}

void teach_study(uint64_t now_ms)
{
	struct notebook *b = book();

	if (!b)
		return;
	if (teach_told)
		teach_told = false;
	if (now_ms - b->waited_ms > SAYS_MS)
		b->waited_ms = now_ms;
	for (unsigned i = 0; i < NOTEBOOK_PAGES; i++) {
		struct page *page = &b->page[i];

		if (page->state == PAGE_FREE)
			return;
		if (page->state == PAGE_SET && page_unread(page))
			study(b, page, now_ms);
	}
}

/* Nobody is to know which port comes next, nor are the processes of one fork to probe the same. */
static uint64_t random_next(void)
{
	static _Atomic uint64_t secret[2], drawn;
	static _Atomic uint32_t epoch;

	if (epoch != self_epoch()) {
		uint64_t fresh[2];
		uint8_t bytes[RANDOM_SECRET];

		_Static_assert(sizeof(fresh) == sizeof(bytes), "two words");
		random_secret(bytes);
		memcpy(fresh, bytes, sizeof(fresh));
		secret[0] = fresh[0];
		secret[1] = fresh[1];
		epoch = self_epoch();
	}
	const uint64_t key[2] = {secret[0], secret[1]};
	uint64_t number = atomic_fetch_add_explicit(&drawn, 1, memory_order_relaxed);
	return keyed_hash(key, &number, 1);
}

uint16_t teach_probe(uint32_t ifindex, const struct flow *flow, uint16_t lo, uint16_t hi,
		     bool learned, uint64_t now_ms)
{
	if (teach_interval(ifindex, flow_family(flow)) != 1)
		return 0;
	struct page *page = page_of(ifindex);
	uint64_t random = random_next();
	uint16_t port = page ? study_probe(page, now_ms, flow, lo, hi, random) : 0;
	return port || learned ? port : (uint16_t)(lo + ((random >> 32) * (hi - lo + 1u) >> 32));
}
