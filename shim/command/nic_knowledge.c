#include "shim/command/nic_knowledge.h"
#include "shim/nic/nic_sources.h"
#include "shim/policy/start.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct first_error {
	char *why;
	size_t why_len;
	bool any;
};

static void on_error(void *context, enum log_level level, const char *line)
{
	struct first_error *first = context;

	if (first->any || level != LOG_LEVEL_ERROR)
		return;
	first->any = true;
	snprintf(first->why, first->why_len, "%s", line);
}

static int load_policy(struct policy *policy, const char *path, char *why, size_t why_len)
{
	struct policy_source source = {.file = path, .environment = environ};
	struct first_error first = {.why = why, .why_len = why_len};
	struct policy_text text = {0};
	const char *wrong;
	int error = path ? policy_text_read(path, false, &text, &wrong) : 0;

	if (error) {
		snprintf(why, why_len, "%s: %s", path, wrong);
		return error;
	}
	source.text = text.text;
	source.size = text.size;
	policy_load(policy, &source, on_error, &first);
	policy_text_release(&text);
	return first.any ? -EINVAL : 0;
}

static int scan(struct nic_knowledge *known, bool detail, char *why, size_t why_len)
{
	struct nic_sources sources;
	int found;

	nic_sources_open(&sources, &known->work, detail);
	found = nic_scan(&known->nics, &known->policy, &sources);
	nic_sources_close(&sources);
	if (found >= 0)
		return 0;
	snprintf(why, why_len, "the interfaces cannot be listed: %s", strerror(-found));
	return found;
}

int nic_knowledge_load(struct nic_knowledge *known, const char *conf_path, bool detail, char *why,
		       size_t why_len)
{
	int error;

	why[0] = '\0';
	if (!conf_path)
		conf_path = getenv("RSSSHIM_CONF");
	error = load_policy(&known->policy, conf_path, why, why_len);
	return error ? error : scan(known, detail, why, why_len);
}

const struct nic_view *nic_knowledge_find(struct nic_knowledge *known, const char *dev, char *why,
					  size_t why_len)
{
	const struct nic_view *view = nic_by_name(&known->nics, dev);

	if (!view && policy_nic(&known->policy, dev)) {
		nic_scan_described(&known->nics, dev, &known->policy);
		view = nic_by_name(&known->nics, dev);
	}
	if (!view)
		snprintf(why, why_len, "%s: no such interface, and no [nic %s] section", dev, dev);
	return view;
}

/* What speaks against choosing ports; the families need not agree. */
static void say_why(const struct nic_view *view, char *why, size_t why_len)
{
	static const char *const family[FLOW_FAMILIES] = {"IPv4", "IPv6"};
	const enum nic_reason *reason = view->predictable_not;

	for (int i = 0; i < FLOW_FAMILIES; i++) {
		if (reason[i] == REASON_NONE)
			continue;
		if (reason[FLOW_IPV4] == reason[FLOW_IPV6])
			snprintf(why, why_len, "%s: %s", view->name, nic_reason_text(reason[i]));
		else
			snprintf(why, why_len, "%s: %s: %s", view->name, family[i],
				 nic_reason_text(reason[i]));
		return;
	}
}

static int take(const struct nic_view *view, struct arrival *out, char *why, size_t why_len)
{
	const struct arrival *arrival = &view->arrival;
	bool usable = arrival->hash.function == HASH_TOEPLITZ && arrival->hash.key_len >= 16 &&
		      (arrival->table.size || arrival->rps.count > 1);

	*out = *arrival;
	say_why(view, why, why_len);
	return usable ? 0 : -ENODATA;
}

int nic_arrival_load(const char *dev, const char *conf_path, struct arrival *out, char *why,
		     size_t why_len)
{
	struct nic_knowledge *known = malloc(sizeof(*known));
	const struct nic_view *view = NULL;
	int error;

	if (!known) {
		snprintf(why, why_len, "out of memory");
		return -ENOMEM;
	}
	error = nic_knowledge_load(known, conf_path, false, why, why_len);
	if (!error)
		view = nic_knowledge_find(known, dev, why, why_len);
	if (!error)
		error = view ? take(view, out, why, why_len) : -ENODEV;
	free(known);
	return error;
}
