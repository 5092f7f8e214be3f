/* A server that changes its root directory serves on, and no descriptor it has leads out. */
#include "tests/behaviour/behaviour.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define OPEN_MAX_HERE 256
#define CLIENTS       18

static int open_now(int *fds)
{
	DIR *list = opendir("/proc/self/fd");
	int count = 0;

	NEED(list != NULL);
	for (struct dirent *entry; count < OPEN_MAX_HERE && (entry = readdir(list));)
		if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(list))
			fds[count++] = atoi(entry->d_name);
	closedir(list);
	return count;
}

static void leads_out(int fd, const struct stat *outside)
{
	int above = openat(fd, "..", O_PATH | O_DIRECTORY);
	struct stat there;

	if (above < 0)
		return;
	CHECK(!fstat(above, &there));
	CHECK(there.st_ino != outside->st_ino || there.st_dev != outside->st_dev);
	close(above);
}

/* Clients one after another, which began while there was a way to theirs. */
static void serves(int listener, int epfd, pid_t pid)
{
	for (int i = 0; i < CLIENTS; i++) {
		struct epoll_event event;
		NEED(epoll_wait(epfd, &event, 1, 3000) == 1);
		int fd = accept(listener, NULL, NULL);
		CHECK(fd >= 0 && write(fd, "", 1) == 1);
		close(fd);
		/* Time to look at the machine anew in there. */
		sleep_ms(50);
	}
	CHECK(exit_of(pid) == 0);
}

static void in_jail(const char *jail)
{
	int epfd = epoll_create1(0), listener = tcp_listener(SOCK_NONBLOCK), fds[OPEN_MAX_HERE];
	struct epoll_event event = {.events = EPOLLIN};
	struct stat outside;

	CHECK(!epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event));
	CHECK(epoll_wait(epfd, &event, 1, 10) == 0);
	pid_t pid = clients(port_of(listener), CLIENTS);
	int count = open_now(fds);
	NEED(!stat("/", &outside));
	CHECK_FAILS(chroot("/of/no/such/name"), ENOENT);
	CHECK_FAILS(chroot(NULL), EFAULT);
	NEED(!chroot(jail) && !chdir("/"));
	for (int i = 0; i < count; i++)
		leads_out(fds[i], &outside);
	serves(listener, epfd, pid);
}

void behaviour(void)
{
	char jail[] = "/tmp/behaviour-jail-XXXXXX";

	if (geteuid() != 0)
		skip("needs root");
	NEED(mkdtemp(jail) != NULL);
	pid_t pid = fork();
	if (!pid) {
		in_jail(jail);
		check_finish();
	}
	CHECK(exit_of(pid) == 0);
	rmdir(jail);
}
