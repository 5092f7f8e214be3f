/* What a thread aims at when it connects: ports whose replies arrive on its own CPUs. Kept by each
 * thread between its connects. */
#pragma once
#include "shim/connect/home.h"
#include "shim/connect/way.h"
#include "shim/decide/port_pick.h"

enum aim {
	AIM_FOUND,
	AIM_HOMELESS,      /* the thread is at home nowhere on that NIC */
	AIM_UNPREDICTABLE, /* nothing can be said of this flow */
	AIM_UNREACHABLE,   /* no port leads to a CPU of the thread */
	AIM_NONE,          /* no port that fits is worth a try; or interrupted a choice */
};

/* Whether the thread is at home on none of these, and none is to be learned of: one comparison as a
 * rule. */
bool aim_is_homeless(const struct uplinks *uplinks, const struct home *home);

/* The next port to try on a way that was found; makes no system call. `choice` is zero before the
 * first. */
enum aim aim_next(const struct way *way, const struct home *home, struct port_choice *choice);

/* The choice turned out to be free; to be taken. */
void aim_hit(const struct port_choice *choice);
void aim_missed(struct port_choice *choice);
