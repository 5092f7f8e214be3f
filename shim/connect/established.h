/* What a NIC sees of a connection that is there. */
#pragma once
#include "shim/decide/flow.h"
#include <stdbool.h>

/* Two system calls. False while it is under way, after a reset, and for what is no TCP. */
bool established_flow(int fd, struct flow *flow);
