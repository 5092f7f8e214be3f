/* What an ordinary accept() or epoll_wait() reads and runs, side by side: between two system calls
 * most of what it costs is to get at lines and pages that the kernel's work has driven out. */
#pragma once

#define HOT_DATA __attribute__((section("rssshim_hot")))
#define HOT_CODE __attribute__((hot))
