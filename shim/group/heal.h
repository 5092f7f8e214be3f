/* What an application closed behind our back, by raw system calls: its listener, or our members. */
#pragma once
#include <stdint.h>

/* Looks after a listener of that number, known by that descriptor: where the descriptor is
 * something else by now, the listener is closed here too; where members are gone, what is left of
 * the group goes with them, and the listener gets another, from a sibling or anew. Under
 * self_lock(). */
void heal(int listener, int fd, uint64_t now_ms);
