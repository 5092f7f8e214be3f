#include "shim/command/explain.h"
#include "shim/command/json.h"
#include "shim/command/nic.h"
#include "shim/command/report.h"
#include "shim/command/threads.h"
#include "shim/policy/show.h"

static void json_option(const struct policy_entry *entry, void *context)
{
	static char value[POLICY_POOL_MAX * 6];
	char name[64], origin[POLICY_PATH_MAX];

	(void)context;
	policy_show_name(entry, name, sizeof(name));
	policy_show_value(entry, value, sizeof(value));
	policy_show_origin(entry, origin, sizeof(origin));
	json_open(NULL, '{');
	json_string("key", name);
	json_string("value", value);
	json_string("origin", origin);
	json_close('}');
}

static void json_thread(const struct thread_facts *thread, void *context)
{
	static char cpus[16384];

	(void)context;
	json_open(NULL, '{');
	json_number("pid", (uint64_t)thread->pid);
	json_number("tid", (uint64_t)thread->tid);
	json_string("name", thread->name);
	json_string("cpus", cpu_set_text(&thread->cpus, cpus, sizeof(cpus)));
	json_bool("at_home", thread->at_home);
	json_number("accepted", thread->accepted);
	json_number("made", thread->made);
	json_close('}');
}

void explain_json(const struct application *app)
{
	const char *text;
	bool chosen = explain_outgoing(app->copy, &text);

	json_open(NULL, '{');
	report_json_title(app);
	json_string("policy_file", app->copy->policy.file.text);
	json_open("policy", '[');
	policy_visit(&app->copy->policy, json_option, NULL);
	json_close(']');
	report_json_nics(app->copy);
	report_json_listeners(app);
	json_open("outgoing", '{');
	json_bool("steered", chosen);
	json_string(chosen ? "way" : "reason", text);
	json_close('}');
	json_open("threads", '[');
	threads_visit(app, json_thread, NULL);
	json_close(']');
	json_close('}');
	json_end();
}
