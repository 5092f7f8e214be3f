/* Numbers that come and go. */
#pragma once
#include "shim/connect/hold.h"
#include "shim/migrate/migrate.h"
#include "shim/process/fd_table.h"

/* Before a number is closed or overwritten: it can be reused at once. */
void descriptor_leave(int fd, struct fd_word word);

/* After the kernel returned it: where it stands for something here, that was closed behind our
 * back. */
static inline void descriptor_fresh(int fd)
{
	struct fd_word word = fd_get(fd);

	migrate_closing(fd);
	if (__builtin_expect(word.kind == FD_LISTENER || word.kind == FD_EPOLL, 0))
		descriptor_leave(fd, word);
	else if (__builtin_expect(word.kind == FD_SOCKET && word.value & SOCKET_HELD, 0))
		hold_closing();
}
