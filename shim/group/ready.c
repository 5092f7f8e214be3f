#include "shim/group/ready.h"

/* A signal handler may call all of these anywhere in between: the count is written once, from what
 * was read, so it never exceeds the room, and what a handler added or took can at worst be lost or
 * asked for again. */
__thread struct ready ready;

static unsigned find(struct ready_member member, unsigned count)
{
	unsigned i = 0;

	while (i < count &&
	       (ready.member[i].group != member.group || ready.member[i].slot != member.slot))
		i++;
	return i;
}

bool ready_add_further(struct ready_member member)
{
	unsigned count = ready.count;

	if (find(member, count) < count)
		return true;
	if (count == READY_MAX)
		return false;
	ready.member[count] = member;
	ready.count = count + 1;
	return true;
}

void ready_forget_levels(void)
{
	unsigned count = ready.count, kept = 0;

	for (unsigned i = 0; i < count; i++)
		if (ready.member[i].edge)
			ready.member[kept++] = ready.member[i];
	ready.count = kept;
}

void ready_remove(struct ready_member member)
{
	unsigned count = ready.count, at = find(member, count);

	if (at == count)
		return;
	ready.member[at] = ready.member[count - 1];
	ready.count = count - 1;
}

void ready_took(struct ready_member member)
{
	unsigned at = find(member, ready.count);

	if (!member.most || at == ready.count)
		return;
	if (member.most == 1)
		ready_remove(member);
	else
		ready.member[at].most = (uint8_t)(member.most - 1);
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
