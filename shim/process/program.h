/* Programs about to be started. */
#pragma once
#include <stdbool.h>

/* Whether a program would load what LD_PRELOAD names: not a static one, not one for another
 * machine, and none that runs with more privileges than its caller. Where that cannot be known,
 * false. A file without a slash is looked for in PATH, as execvp() does. */
bool program_preloads(const char *file);
