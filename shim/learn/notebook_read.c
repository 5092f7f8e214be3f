#include "shim/learn/notebook_read.h"
#include "shim/stat/stat_policy.h"
#include <string.h>

bool notebook_is(const struct notebook *copy, size_t size)
{
	return size == sizeof(*copy) && copy->magic == NOTEBOOK_MAGIC &&
	       copy->abi == NOTEBOOK_ABI && copy->size == sizeof(*copy);
}

bool notebook_tell(const struct notebook *copy, unsigned number, struct lesson *out)
{
	const struct page *page = &copy->page[number % NOTEBOOK_PAGES];

	if (number >= NOTEBOOK_PAGES || page->state != PAGE_SET)
		return false;
	memset(out, 0, sizeof(*out));
	out->ifindex = page->ifindex;
	memcpy(out->name, page->name, sizeof(out->name));
	stat_check_text(out->name, sizeof(out->name));
	out->disproved = page->disproved;
	out->seen = page->seen;
	out->contradicted = page->contradicted;
	out->forgotten = page->forgotten;
	out->any = page_read(page, &out->learned);
	if (out->any)
		stat_check_text(out->learned.key_name, sizeof(out->learned.key_name));
	else
		memset(&out->learned, 0, sizeof(out->learned));
	return true;
}

const char *lesson_way(const struct lesson *lesson)
{
	switch (lesson->learned.way) {
	case LEARNER_LINEAR:
		return "linear rule";
	case LEARNER_TABLE:
		return "table under the reported key";
	case LEARNER_GUESS:
		return "table under a published key";
	default:
		return "nothing yet";
	}
}

const char *lesson_state(const struct lesson *lesson, enum flow_family family)
{
	if (lesson->learned.known[family])
		return "known";
	if (lesson->learned.spread[family])
		return "spread by CPU, source ports not known";
	return lesson->learned.refused[family] ? learn_refusal_text(lesson->learned.refusal[family])
					       : "not known";
}
