#include "shim/learn/study.h"
#include "shim/kernel/log.h"
#include "shim/process/self.h"
#include <string.h>

/* Longer than anybody studies at a time: who has not come back by then is dead, or stopped. Should
 * it go on after all, it does so at its own desk, and what it prints is at worst one that is
 * replaced. */
#define GONE_MS 2000

/* A note that is being written may be waited for until so many others were. */
#define UNFINISHED_MAX 64

/* After so many observations in which nothing came to be known, each connection is not worth a look
 * any more, whatever the learner says. */
#define VAIN_MAX 4096

#define CALM_INTERVAL 32 /* arrivals, once there is nothing to be curious about */

/* One thread of a process studies at a time, as the room is the process's. Since when, and in which
 * epoch: a child does not wait for a thread of its parent, and nobody for one that is gone. */
#define EPOCH_SHIFT 48
static _Atomic uint64_t studying; /* 0: nobody */
static union learner_room room;

static uint64_t room_take(uint64_t now_ms)
{
	uint64_t was = studying, epoch = (uint64_t)self_epoch() << EPOCH_SHIFT;
	uint64_t word = epoch | (now_ms ? now_ms : 1);

	if (was && was >> EPOCH_SHIFT == epoch >> EPOCH_SHIFT && word < was + GONE_MS)
		return 0;
	return atomic_compare_exchange_strong(&studying, &was, word) ? word : 0;
}

static void room_leave(uint64_t word)
{
	atomic_compare_exchange_strong(&studying, &word, 0);
}

struct hold {
	struct page *page;
	uint64_t word; /* 0: none */
	struct desk *desk;
};

static struct hold hold_try(struct page *page, uint64_t now_ms)
{
	struct hold hold = {.page = page};
	uint64_t was = atomic_load_explicit(&page->holder, memory_order_relaxed);
	uint64_t since = was >> HOLDER_SHIFT, claim = was & CLAIM_MASK;

	if (since) {
		if (now_ms < since + GONE_MS)
			return hold;
		claim = (claim + 1) & CLAIM_MASK;
	}
	uint64_t word = (now_ms ? now_ms : 1) << HOLDER_SHIFT | claim;
	if (!atomic_compare_exchange_strong(&page->holder, &was, word))
		return hold;
	hold.word = word;
	hold.desk = &page->desk[claim % PAGE_DESKS];
	return hold;
}

static bool is_begun(const struct hold *hold)
{
	return hold->desk->claim == (hold->word & CLAIM_MASK) + 1 &&
	       learner_is_sound(&hold->desk->learner) && learned_is_sound(&hold->desk->learned);
}

/* What was reported may be written anew meanwhile. */
static void take_report(const struct page *page, struct desk *desk)
{
	struct rss_hash reported = page->reported;

	desk->reports = page->reports;
	if (reported.key_len > RSS_KEY_MAX)
		reported.key_len = 0;
	desk->learner.reported = reported;
}

static void begin(const struct hold *hold)
{
	struct desk *desk = hold->desk;

	learner_init(&desk->learner, NULL);
	take_report(hold->page, desk);
	memset(&desk->learned, 0, sizeof(desk->learned));
	memset(desk->known_at, 0, sizeof(desk->known_at));
	desk->read = page_oldest(hold->page, hold->page->written);
	desk->claim = (hold->word & CLAIM_MASK) + 1;
}

static bool is_held(const struct hold *hold)
{
	return atomic_load(&hold->page->holder) == hold->word;
}

static void release(const struct hold *hold)
{
	uint64_t word = hold->word;

	atomic_compare_exchange_strong(&hold->page->holder, &word, word & CLAIM_MASK);
}

/* The note of that number, from 0. False where there is none to be had. */
static bool take(const struct page *page, uint64_t number, struct note *out)
{
	const struct note *note = &page->note[number % NOTEBOOK_NOTES];
	uint32_t wanted = (uint32_t)number + 1;

	if (atomic_load_explicit(&note->number, memory_order_acquire) != wanted)
		return false;
	out->cpu = note->cpu;
	out->own_cpu = note->own_cpu;
	out->flow = note->flow;
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&note->number, memory_order_relaxed) == wanted &&
	       out->cpu >= 0 && out->cpu < RSS_CPUS_MAX;
}

static bool is_family(uint8_t family)
{
	return family == AF_INET || family == AF_INET6;
}

/* Returns whether what is to be printed has changed. */
static bool go_through(struct page *page, struct desk *desk)
{
	uint64_t written = atomic_load_explicit(&page->written, memory_order_acquire);
	bool changed = false;
	struct note note;
	uint64_t oldest = page_oldest(page, written), read = desk->read;

	/* Counted here, whoever writes to the desk meanwhile. */
	if (read > written || read < oldest)
		read = oldest;
	for (; read < written; read++) {
		if (take(page, read, &note)) {
			if (is_family(note.flow.family))
				changed |= learner_observe(&desk->learner, &note.flow, note.cpu,
							   note.own_cpu, &room);
		} else if (written - read < UNFINISHED_MAX) {
			break;
		}
	}
	desk->read = read;
	return changed;
}

static void set(_Atomic uint32_t *place, uint32_t value)
{
	if (atomic_load_explicit(place, memory_order_relaxed) != value)
		atomic_store_explicit(place, value, memory_order_relaxed);
}

static bool is_known(const struct learned *learned, unsigned family)
{
	return learned->known[family] || learned->spread[family];
}

static void tell(struct page *page, struct desk *desk)
{
	uint32_t seen = 0, contradicted = 0, forgotten = 0;

	for (enum flow_family f = 0; f < FLOW_FAMILIES; f++) {
		const struct learn *l = &desk->learner.family[f];

		seen += l->observations;
		contradicted += l->contradictions;
		forgotten += l->forgotten;
		if (is_known(&desk->learned, f))
			desk->known_at[f] = l->observations;
		bool curious = learner_is_curious(&desk->learner, f) &&
			       l->observations - desk->known_at[f] < VAIN_MAX;
		set(&page->interval[f], curious ? 0 : CALM_INTERVAL);
	}
	set(&page->seen, seen);
	set(&page->contradicted, contradicted);
	set(&page->forgotten, forgotten);
	atomic_store_explicit(&page->read, desk->read, memory_order_relaxed);
}

/* In the log, once for all processes: whoever finds out says it. */
static void say(struct page *page, const struct learned *learned)
{
	enum { NOTHING, LEARNED, REFUSED };
	enum log_level level = page->disproved ? LOG_LEVEL_WARN : LOG_LEVEL_INFO;
	char name[IF_NAMESIZE];
	uint32_t now = NOTHING;

	memcpy(name, page->name, sizeof(name));
	name[sizeof(name) - 1] = '\0';
	for (unsigned f = 0; f < FLOW_FAMILIES; f++) {
		if (is_known(learned, f))
			now = LEARNED;
		else if (learned->refused[f] && now == NOTHING)
			now = REFUSED + learned->refusal[f];
	}
	uint32_t before = atomic_exchange(&page->said, now);
	if (now == before)
		return;
	if (now == LEARNED)
		log_write(level, "%s: learned from %u connections where flows arrive%s%s", name,
			  page->seen, learned->way == LEARNER_GUESS ? ", by a published key: " : "",
			  learned->key_name);
	else if (now >= REFUSED)
		log_write(level, "%s: cannot be learned: %s", name,
			  learn_refusal_text((enum learn_refusal)(now - REFUSED)));
	else if (before == LEARNED)
		log_write(level, "%s: what was learned does not hold any more: learning anew",
			  name);
}

static void study_held(struct notebook *book, struct page *page, const struct hold *hold)
{
	bool was_refused[FLOW_FAMILIES];

	if (!is_begun(hold))
		begin(hold);
	else if (hold->desk->reports != page->reports)
		take_report(page, hold->desk);
	for (unsigned f = 0; f < FLOW_FAMILIES; f++)
		was_refused[f] = hold->desk->learner.family[f].state == LEARN_REFUSED;
	bool changed = go_through(page, hold->desk);

	for (unsigned f = 0; f < FLOW_FAMILIES; f++)
		changed |= was_refused[f] != (hold->desk->learner.family[f].state == LEARN_REFUSED);
	if (changed)
		learner_conclude(&hold->desk->learner, &hold->desk->learned, &room);
	if (!is_held(hold))
		return;
	tell(page, hold->desk);
	if (changed) {
		page_print(book, page, &hold->desk->learned);
		say(page, &hold->desk->learned);
	}
}

void study(struct notebook *book, struct page *page, uint64_t now_ms)
{
	uint64_t in_room = room_take(now_ms);

	if (!in_room)
		return;
	struct hold hold = hold_try(page, now_ms);

	if (hold.word) {
		study_held(book, page, &hold);
		release(&hold);
	}
	room_leave(in_room);
}

uint16_t study_probe(struct page *page, uint64_t now_ms, const struct flow *flow, uint16_t lo,
		     uint16_t hi, uint64_t random)
{
	struct hold hold = hold_try(page, now_ms);
	uint16_t port = 0;

	if (!hold.word)
		return 0;
	if (is_begun(&hold))
		port = learn_probe(&hold.desk->learner.family[flow_family(flow)], flow, lo, hi,
				   random);
	release(&hold);
	return port;
}
