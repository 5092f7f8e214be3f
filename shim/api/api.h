/* Marks what rssshim.h declares: exported, like the wrappers, and nothing else is. */
#pragma once
#include "include/rssshim.h"

#define API __attribute__((visibility("default")))
