/* What the process was started with, kept from before the application changed it: servers rebuild
 * their environment and overwrite its memory with a process title. */
#pragma once
#include <stdbool.h>

/* Variables with which one is preloaded and configured; more are not kept. */
#define SURROUNDINGS_KEPT_MAX 256

/* Once, from the constructor. Takes out of the environment what is meant for us alone. library: the
 * path that this library was loaded from; NULL: not known. */
void surroundings_start(char **environment, const char *library);

/* Value of a variable meant for us alone, NULL if it was not there. */
const char *surroundings_inherited(void);

/* Whether a program started with these names and variables would be this very program. */
bool surroundings_is_own_program(const char *path);
/* Whether a program started with that environment would preload this library. */
bool surroundings_preloads(char *const *environment);
/* Whether the loader would find it, and not another one, at its path: it may have been replaced, or
 * be outside of the root directory by now. */
bool surroundings_has_library(void);

/* How many variables are kept. */
int surroundings_kept(void);

/* Copies the pointers of environment to out, of at most room entries, and adds what is kept and
 * missing there if that is wanted. Returns the number of entries without the final NULL, -1 where
 * room is too small. */
int surroundings_copy(char *const *environment, bool restore, char **out, int room);
