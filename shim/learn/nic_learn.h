/* What this application has learned of an interface, laid over what the kernel and the policy say.
 */
#pragma once
#include "shim/decide/learner.h"
#include "shim/nic/nic_view.h"

/* What is reported holds until it is seen not to; what nobody tells may have been learned. `room`
 * is for a copy of it, which is too large for the stack of a small thread. False where something
 * was learned, but cannot be read just now. */
bool nic_learn(struct nic_view *view, struct learned *room);
