/* Slots of interfaces in the memory. */
#pragma once
#include "shim/stat/stat_memory.h"

/* The interface of that number, STAT_NO_NIC where it has no slot. */
unsigned stat_nic_slot(const struct stat_memory *memory, uint32_t ifindex);
