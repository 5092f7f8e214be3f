/* rssshim explain: by what an application goes, and what is steered or not and why. */
#include "shim/command/explain.h"
#include "shim/command/verbs.h"
#include <stdio.h>
#include <string.h>

bool explain_outgoing(const struct stat_memory *copy, const char **text)
{
	static const char *const texts[STAT_OUTGOINGS] = {
		[STAT_OUTGOING_UNASKED] = "it made no connection yet",
		[STAT_OUTGOING_CHOSEN] = "source ports are chosen",
		[STAT_OUTGOING_NO_NIC] = "there is no interface that they can be chosen for",
		[STAT_OUTGOING_NO_PORTS] = "[connect] range leaves no port of ip_local_port_range",
		[STAT_OUTGOING_HELD] = "source ports are bound, few at once (Linux before 6.3)",
	};

	*text = texts[copy->outgoing];
	if (copy->policy.shim_enabled == ENABLED_OBSERVE)
		*text = "observe mode: nothing is touched";
	else if (!copy->policy.connect_steer)
		*text = "the policy says [connect] steer = no";
	else if (copy->off)
		*text = "switched off (rssshim on PID)";
	else
		return copy->outgoing == STAT_OUTGOING_CHOSEN ||
		       copy->outgoing == STAT_OUTGOING_HELD;
	return false;
}

int verb_explain(int argc, char **argv)
{
	struct application *app;
	bool json = false;
	char why[256];
	pid_t pid = 0;

	if (!application_arguments("explain", argc, argv, &pid, &json))
		return 2;
	if (!pid)
		return verb_usage("explain");
	if (applications_find(pid, false, &app, why, sizeof(why)) < 0) {
		fprintf(stderr, "rssshim explain: %s\n", why);
		return 1;
	}
	int status = application_read(app, why, sizeof(why)) < 0;
	if (status)
		fprintf(stderr, "rssshim explain: %s\n", why);
	else
		(json ? explain_json : explain_text)(app);
	applications_free(app, 1);
	return status;
}
