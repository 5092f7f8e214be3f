#pragma once
#define RSSSHIM_VERSION "0.1.0"
