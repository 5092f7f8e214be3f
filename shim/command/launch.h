/* Whether LD_PRELOAD reaches a program. The library cannot tell: it is never loaded there. */
#pragma once
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

/* Looks name up as execvp() would. Returns false with errno where there is nothing to run. */
bool launch_find(const char *name, char path[PATH_MAX]);

/* Follows a script to its interpreter and looks at the program found. Returns 0 where the library
 * will be loaded; -1 and a sentence why not. */
int launch_examine(const char *path, char *why, size_t size);
