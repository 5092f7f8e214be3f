#include "shim/group/ready.h"

__thread struct ready ready;

bool ready_add(struct ready_member member)
{
	for (unsigned i = 0; i < ready.count; i++)
		if (ready.member[i].group == member.group && ready.member[i].slot == member.slot)
			return true;
	if (ready.count == READY_MAX)
		return false;
	ready.member[ready.count++] = member;
	return true;
}

void ready_forget_levels(void)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < ready.count; i++)
		if (ready.member[i].edge)
			ready.member[kept++] = ready.member[i];
	ready.count = kept;
}

void ready_remove(unsigned at)
{
	ready.member[at] = ready.member[--ready.count];
}

bool ready_prefer(uint16_t group, const struct slot_set *slots)
{
	for (unsigned i = 0; i < ready.count; i++) {
		struct ready_member member = ready.member[i];
		if (member.group != group || !slot_in(slots, member.slot))
			continue;
		ready.member[i] = ready.member[0];
		ready.member[0] = member;
		return true;
	}
	return false;
}
