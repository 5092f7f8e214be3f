#include "shim/api/api.h"
#include "shim/api/view.h"
#include "shim/connect/uplink.h"
#include "shim/kernel/log.h"
#include "shim/learn/teach.h"
#include "shim/policy/start.h"
#include "shim/process/own_fd.h"
#include "shim/process/self.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void say(void *context, enum log_level level, const char *line)
{
	(void)context;
	log_write(level, "%s", line);
}

static int read_policy(struct policy *policy, const char *file)
{
	struct policy_source source = {.file = file, .environment = environ};
	struct policy_text text;
	const char *wrong;

	if (!file) {
		policy_start(policy, environ, program_invocation_name);
		return 0;
	}
	int error = policy_text_read(file, false, &text, &wrong);
	if (error < 0) {
		log_error("%s: %s", file, wrong);
		return error;
	}
	source.text = text.text;
	source.size = text.size;
	unsigned errors = policy_load(policy, &source, say, NULL);
	policy_text_release(&text);
	return errors ? -EINVAL : 0;
}

enum { DESCRIPTORS = 7 };

static void descriptors(struct rssshim *rss, int *fds[DESCRIPTORS])
{
	fds[0] = &rss->sources.proc;
	fds[1] = &rss->sources.sys;
	fds[2] = &rss->sources.ioctl;
	fds[3] = &rss->sources.route;
	fds[4] = &rss->sources.generic;
	fds[5] = &rss->news.route;
	fds[6] = &rss->news.ethtool;
}

static void open_sources(struct rssshim *rss)
{
	int *fds[DESCRIPTORS];

	nic_sources_open(&rss->sources, &rss->work, true);
	route_watch_open(&rss->news,
			 (struct nl_buffer){rss->work.answer, sizeof(rss->work.answer)});
	descriptors(rss, fds);
	for (unsigned i = 0; i < DESCRIPTORS; i++) {
		*fds[i] = own_fd(*fds[i]);
		own_fd_hold(fds[i]);
	}
}

static void close_sources(struct rssshim *rss)
{
	int *fds[DESCRIPTORS];

	descriptors(rss, fds);
	for (unsigned i = 0; i < DESCRIPTORS; i++)
		own_fd_close(*fds[i]);
}

/* Questions are answered from what was found, and learned. */
static void fill(struct rssshim *rss, struct view *view)
{
	rss->edition = teach_edition();
	view->nics.count = view->found.count;
	view->nics.missed = view->found.missed;
	view->local_ports = rss->local_ports;
	if (!uplinks_range(&rss->local_ports, &rss->policy.connect_range, &view->lo, &view->hi))
		view->lo = view->hi = 0;
	for (unsigned i = 0; i < view->nics.count; i++) {
		struct nic_view *nic = &view->nics.view[i];

		*nic = view->found.view[i];
		nic_learn(nic, &rss->learned);
		view->index[i] = nic->ifindex;
		if (nic->predictable[FLOW_IPV4] || nic->predictable[FLOW_IPV6])
			ports_init(&view->ports[i], &nic->arrival);
	}
}

/* A refresh must not wait for ever because some thread is always asking. */
static void lock_init(pthread_rwlock_t *lock)
{
	pthread_rwlockattr_t attributes;

	pthread_rwlockattr_init(&attributes);
	pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(lock, &attributes);
	pthread_rwlockattr_destroy(&attributes);
}

API int rssshim_open(struct rssshim **out, const char *policy_file)
{
	int before = errno;
	struct rssshim *rss = calloc(1, sizeof(*rss));
	int error;

	*out = NULL;
	errno = before;
	if (!rss)
		return -ENOMEM;
	error = read_policy(&rss->policy, policy_file);
	if (error) {
		free(rss);
		return error;
	}
	lock_init(&rss->in_use);
	pthread_mutex_init(&rss->looking, NULL);
	self_start();
	rss->epoch = self_epoch();
	open_sources(rss);
	local_ports_read(&rss->local_ports, rss->sources.proc);
	nic_scan(&rss->view[0].found, &rss->policy, &rss->sources); /* or it is empty */
	fill(rss, &rss->view[0]);
	*out = rss;
	return 0;
}

API void rssshim_close(struct rssshim *rss)
{
	if (!rss)
		return;
	close_sources(rss);
	pthread_mutex_destroy(&rss->looking);
	pthread_rwlock_destroy(&rss->in_use);
	free(rss);
}

int looking_begin(struct rssshim *rss)
{
	/* Before the lock: another thread may have held it when the process was forked. */
	if (rss->epoch != self_epoch())
		return -ECHILD;
	pthread_mutex_lock(&rss->looking);
	return 0;
}

void looking_end(struct rssshim *rss)
{
	pthread_mutex_unlock(&rss->looking);
}

static bool ports_changed(struct rssshim *rss)
{
	struct local_ports *now = &rss->local_ports_again;

	local_ports_read(now, rss->sources.proc);
	if (now->lo == rss->local_ports.lo && now->hi == rss->local_ports.hi &&
	    !memcmp(now->reserved, rss->local_ports.reserved, sizeof(now->reserved)))
		return false;
	rss->local_ports = *now;
	return true;
}

/* Looks again, into `next`. */
static bool anything_changed(struct rssshim *rss, const struct view *view, struct view *next)
{
	/* Where netlink is refused, no change is announced. */
	bool routes = rss->news.route < 0 || route_changed(rss->news.route, NULL);
	bool rss_settings = route_changed(rss->news.ethtool, NULL);
	bool ports = ports_changed(rss);

	/* Should the interfaces not be had this time, they are as they were. */
	if (nic_scan(&next->found, &rss->policy, &rss->sources) < 0)
		next->found = view->found;
	return routes || rss_settings || ports || rss->edition != teach_edition() ||
	       !nic_set_same(&view->found, &next->found);
}

API int rssshim_refresh(struct rssshim *rss)
{
	int error = looking_begin(rss);

	if (error)
		return error;
	uint32_t sequence = rss->sequence;
	const struct view *view = &rss->view[sequence & 1];
	struct view *next = &rss->view[(sequence + 1) & 1];
	bool changed = anything_changed(rss, view, next);
	if (changed) {
		fill(rss, next);
		pthread_rwlock_wrlock(&rss->in_use);
		atomic_store_explicit(&rss->sequence, sequence + 1, memory_order_release);
		pthread_rwlock_unlock(&rss->in_use);
		/* What the next look writes must not be seen before the sequence. */
		atomic_thread_fence(memory_order_seq_cst);
	}
	looking_end(rss);
	return changed;
}

/* In a child of fork() nobody refreshes, and another thread may have held the lock as it was
 * forked. */
static bool is_shared(const struct rssshim *rss)
{
	return rss->epoch == self_epoch();
}

const struct view *view_begin(const struct rssshim *rss)
{
	if (is_shared(rss))
		pthread_rwlock_rdlock((pthread_rwlock_t *)&rss->in_use);
	return &rss->view[rss->sequence & 1];
}

void view_end(const struct rssshim *rss)
{
	if (is_shared(rss))
		pthread_rwlock_unlock((pthread_rwlock_t *)&rss->in_use);
}
