/* The CPU an interrupt is delivered to. */
#pragma once
#include "shim/nic/nic_sources.h"
#include <stdint.h>

/* -1: not known, or several CPUs take turns. */
int nic_queue_cpu(int32_t irq, const struct nic_sources *sources);
