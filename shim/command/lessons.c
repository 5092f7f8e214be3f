#include "shim/command/lessons.h"
#include "shim/command/application.h"
#include "shim/command/nic_knowledge.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Numbers and names of interfaces repeat in other network namespaces. */
static bool is_in_our_namespace(pid_t pid)
{
	struct stat ours, theirs;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	return !stat("/proc/self/ns/net", &ours) && !stat(path, &theirs) &&
	       ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

static size_t read_copy(const struct application *app, struct notebook *copy)
{
	int fd = application_open_other(app, NOTEBOOK_NAME);
	size_t got = 0;
	ssize_t piece = 1;

	while (fd >= 0 && got < sizeof(*copy) && piece > 0) {
		piece = pread(fd, (char *)copy + got, sizeof(*copy) - got, (off_t)got);
		if (piece > 0)
			got += (size_t)piece;
	}
	if (fd >= 0)
		close(fd);
	return got;
}

static struct lesson_of *place_for(struct lessons *all, const struct lesson *lesson)
{
	for (unsigned i = 0; i < all->count; i++)
		if (all->list[i].lesson.ifindex == lesson->ifindex)
			return all->list[i].lesson.seen < lesson->seen ? &all->list[i] : NULL;
	struct lesson_of *more = realloc(all->list, (all->count + 1) * sizeof(*more));
	if (!more)
		return NULL;
	all->list = more;
	return &more[all->count++];
}

static void collect(struct lessons *all, const struct nic_set *set, struct application *app,
		    struct notebook *copy)
{
	static struct lesson lesson;
	char why[256];

	if (!is_in_our_namespace(app->root) || !notebook_is(copy, read_copy(app, copy)) ||
	    application_read(app, why, sizeof(why)))
		return;
	for (unsigned i = 0; i < NOTEBOOK_PAGES; i++) {
		if (!notebook_tell(copy, i, &lesson))
			break;
		const struct nic_view *view = nic_by_index(set, lesson.ifindex);
		struct lesson_of *place =
			view && !strcmp(view->name, lesson.name) ? place_for(all, &lesson) : NULL;
		if (!place)
			continue;
		*place = (struct lesson_of){.pid = app->root, .lesson = lesson};
		memcpy(place->program, app->copy->program, sizeof(place->program));
	}
}

/* As the application itself: what was disproved is what was reported then. */
static void take(struct nic_view *view, const struct lesson *lesson)
{
	if (view->may_learn && lesson->disproved &&
	    lesson->disproved == arrival_fingerprint(&view->arrival))
		nic_disprove(view);
	if (lesson->any && view->learnable)
		nic_apply_learned(view, &lesson->learned);
}

void lessons_take(struct nic_set *set, struct lessons *lessons)
{
	struct notebook *copy = calloc(1, sizeof(*copy));
	struct application *list = NULL;
	char why[256];
	int count = copy ? applications_find(0, false, &list, why, sizeof(why)) : 0;

	*lessons = (struct lessons){0};
	for (int i = 0; i < count; i++)
		collect(lessons, set, &list[i], copy);
	applications_free(list, count > 0 ? count : 0);
	free(copy);
	for (unsigned i = 0; i < set->count; i++) {
		const struct lesson_of *found = lesson_find(lessons, set->view[i].ifindex);
		if (found)
			take(&set->view[i], &found->lesson);
	}
}

const struct lesson_of *lesson_find(const struct lessons *lessons, uint32_t ifindex)
{
	for (unsigned i = 0; i < lessons->count; i++)
		if (lessons->list[i].lesson.ifindex == ifindex)
			return &lessons->list[i];
	return NULL;
}

bool lessons_arrival(const char *dev, const char *conf, struct arrival *out)
{
	struct nic_knowledge *known = malloc(sizeof(*known));
	struct lessons lessons = {0};
	bool learned = false;
	char why[256];

	if (known && !nic_knowledge_load(known, conf, false, why, sizeof(why))) {
		const struct nic_view *view = nic_by_name(&known->nics, dev);

		if (view && view->may_learn)
			lessons_take(&known->nics, &lessons);
		learned = view && view->learned &&
			  (view->predictable[FLOW_IPV4] || view->predictable[FLOW_IPV6]);
		if (learned)
			*out = view->arrival;
	}
	free(lessons.list);
	free(known);
	return learned;
}
