/* Going through the notes of a page: learning, by whoever finds that nobody does. */
#pragma once
#include "shim/learn/notebook.h"

/* Goes through what is unread, unless somebody else does. Some microseconds; where notes contradict
 * what was believed, some milliseconds: not for the way of a connection. now_ms: of a monotonic
 * clock. */
void study(struct notebook *book, struct page *page, uint64_t now_ms);

/* A port in [lo, hi] with which this flow would teach something; 0 where none does, or somebody
 * studies. */
uint16_t study_probe(struct page *page, uint64_t now_ms, const struct flow *flow, uint16_t lo,
		     uint16_t hi, uint64_t random);
