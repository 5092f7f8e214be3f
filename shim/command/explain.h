/* rssshim explain: text and JSON say the same. */
#pragma once
#include "shim/command/application.h"

void explain_text(const struct application *app);
void explain_json(const struct application *app);

/* Whether source ports are chosen, and the reason where they are not. */
bool explain_outgoing(const struct stat_memory *copy, const char **text);
