/* Whether an application's listener is still there, from /proc/PID/net/tcp. */
#pragma once
#include "shim/stat/stat_memory.h"
#include <stdbool.h>
#include <sys/types.h>

/* True also where that cannot be found out. */
bool listener_is_open(pid_t pid, const struct stat_listener *listener);
