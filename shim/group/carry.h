/* Groups that go along over exec, with their listeners: an upgraded binary goes on where the old
 * one is, and counts on in the same memory. */
#pragma once
#include <stdbool.h>

struct carried {
	int manifest; /* descriptor that tells the next program of groups; -1: none go along */
	int counters; /* descriptor of the statistics; -1: they do not go along */
	int learned;  /* ... and of what was learned */
};

#define CARRY_TEXT_MAX 64

/* Whether an exec at this moment would leave a listener to the next program. */
bool carry_leaves_listener(void);

/* Before exec, also in a vfork child: lets the groups of all listeners that stay open stay open
 * too, and writes down which they are. same: the program starts itself anew; then also what it
 * counts in, and with that whether it is switched off, and what it learned. */
struct carried carry_out(bool same);
/* The variable that tells the next program; false where there is nothing to tell. */
bool carry_text(struct carried carried, char text[CARRY_TEXT_MAX]);
/* The exec failed: as it was. */
void carry_undo(struct carried carried);

/* In the constructor of the next program: takes over what the variable names, and looks at the
 * listeners a service manager passed (LISTEN_FDS). */
void carry_in(const char *inherited, char *const *environment);
