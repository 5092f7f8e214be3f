/* Groups that go along over exec, with their listeners: an upgraded binary goes on where the old
 * one is. */
#pragma once
#include <stdbool.h>

struct carried {
	int manifest; /* descriptor that tells the next program; -1: nothing goes along */
};

/* Before exec, also in a vfork child: lets the groups of all listeners that stay open stay open
 * too, and writes down which they are. */
struct carried carry_out(void);
/* The exec failed: as it was. */
void carry_undo(struct carried carried);

/* In the constructor of the next program: takes over what the variable names, and looks at the
 * listeners a service manager passed (LISTEN_FDS). */
void carry_in(const char *inherited, char *const *environment);
