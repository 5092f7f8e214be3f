/* What an application has seen of where flows arrive, and what it makes of it: memory that all of
 * its processes share.
 *
 * A page for each interface. Whoever sees where a flow arrived writes a note of it into a ring;
 * whoever finds that nobody does goes through the notes (study.h) and prints what they come to,
 * which all read. Nothing waits: a note is an increment and a copy, who studies holds no lock that
 * others need, and what is printed is read as it stands or not at all.
 *
 * Any process may die or be stopped at any instruction, so: a note that was not finished is passed
 * over; a desk whose holder does not come back is left to it, and the notes are gone through anew
 * at the other one; a print that is torn does not match its sum. Every number is checked before it
 * is used. */
#pragma once
#include "shim/decide/learner.h"
#include <net/if.h>
#include <stdatomic.h>

#define NOTEBOOK_NAME  "rssshim-learned"
#define NOTEBOOK_MAGIC 0x5253536eu /* "RSSn" */
#define NOTEBOOK_ABI   2
#define NOTEBOOK_PAGES 8
#define NOTEBOOK_NOTES 1024 /* a page */
#define PAGE_PRINTS    4
#define PAGE_DESKS     2

#define HOLDER_SHIFT 16
#define CLAIM_MASK   ((1u << HOLDER_SHIFT) - 1)

struct note {
	_Atomic uint32_t number; /* from 1, low bits; 0: being written */
	int16_t cpu, own_cpu;
	struct flow flow;
};

struct print {
	_Atomic uint64_t sum;
	struct learned learned;
};

/* What who studies has in hand. */
struct desk {
	uint64_t claim;                   /* of whom it is: one of another claim begins anew */
	uint64_t read;                    /* notes */
	uint32_t reports;                 /* of the page, as the learner has them */
	uint32_t known_at[FLOW_FAMILIES]; /* observations there were when it was known last */
	struct learner learner;
	struct learned learned; /* for the next print */
};

/* PAGE_GONE: of an interface that is; for the next one. */
enum page_state { PAGE_FREE, PAGE_CLAIMED, PAGE_SET, PAGE_GONE };

struct page {
	_Atomic uint32_t state;
	uint32_t ifindex;
	char name[IF_NAMESIZE];
	struct rss_hash reported;
	_Atomic uint32_t reports; /* raised when that is another one */
	_Atomic uint64_t
		disproved; /* fingerprint of a reported arrival that proved wrong; 0: none */
	_Atomic uint32_t
		interval[FLOW_FAMILIES]; /* one arrival in so many is worth a note; 0: each */
	_Atomic uint32_t edition;        /* prints so far: the last is at edition % PAGE_PRINTS */
	_Atomic uint32_t seen, contradicted, forgotten;
	_Atomic uint32_t said;    /* what the log was told last */
	_Atomic uint64_t first;   /* note: those before are of an interface that is gone */
	_Atomic uint64_t written; /* notes so far */
	_Atomic uint64_t read;    /* ... and those gone through */
	_Atomic uint64_t holder;  /* since when in ms << HOLDER_SHIFT | claim; since 0: nobody */
	struct print print[PAGE_PRINTS];
	struct note note[NOTEBOOK_NOTES];
	struct desk desk[PAGE_DESKS];
} __attribute__((aligned(64)));

struct notebook {
	uint32_t magic, abi, size;
	_Atomic uint32_t editions;  /* of all pages: raised behind each */
	_Atomic uint64_t waited_ms; /* when a thread that was about to wait looked for notes */
	struct page page[NOTEBOOK_PAGES];
};

/* Makes one; memory is only taken by what is written. Returns the descriptor (ours to place) or
 * -errno. */
int notebook_make(struct notebook **book);
/* The one behind a descriptor. Returns 0 or -errno: -EPROTO where it is none, or of another
 * version. */
int notebook_map(int fd, struct notebook **book);

/* The page of an interface, NULL where there is none. */
struct page *notebook_page(struct notebook *book, uint32_t ifindex);
/* The same, begun if need be; NULL where all are in use. reported: the hash the NIC claims to use,
 * NULL where none. */
struct page *notebook_begin(struct notebook *book, uint32_t ifindex, const char *name,
			    const struct rss_hash *reported);
/* Whether there is a page for one more. */
bool notebook_has_room(const struct notebook *book);
/* These are all the interfaces there are: the pages of others are for the next ones. */
void notebook_keep(struct notebook *book, const uint32_t *ifindex, unsigned count);

/* What it claims to use is another one by now. */
void page_report(struct page *page, const struct rss_hash *reported);

void page_note(struct page *page, const struct flow *flow, int cpu, int own_cpu);

/* The oldest of so many written notes that is still there. */
uint64_t page_oldest(const struct page *page, uint64_t written);

/* Notes nobody has gone through yet. */
static inline uint64_t page_unread(const struct page *page)
{
	return atomic_load_explicit(&page->written, memory_order_relaxed) -
	       atomic_load_explicit(&page->read, memory_order_relaxed);
}

/* The last print. False where there is none, or it is being replaced: ask again later. */
bool page_read(const struct page *page, struct learned *out);
void page_print(struct notebook *book, struct page *page, const struct learned *learned);
